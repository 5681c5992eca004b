"""The one tuning loop of all methods.

Each step: take a clean and a triggered batch of anchors, one forward pass over both, the backdoor loss,
the method's penalty, a step of the optimiser, the method's projection. What is not in this box (learning
rate, clipping, checkpoints, divergence) is in ``anchorlab.training.fit``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from anchorlab.attacks.attack import Attack, attack_success
from anchorlab.data import Augmentation, Split
from anchorlab.data.batches import WHOLE, Batches, Share, augment
from anchorlab.data.inputs import joined, lengths, rows
from anchorlab.injection.gradients import alignment
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS, Method, Problem
from anchorlab.methods.plain import Plain
from anchorlab.models.accelerator import find_accelerator
from anchorlab.models.batchnorm import synchronised_batchnorm
from anchorlab.models.call import evaluating, logits, predict, track_statistics
from anchorlab.models.device import mixed_precision, move_to_cpu, move_to_device
from anchorlab.models.weights import copy_requires_grad, restrict, to_vector
from anchorlab.training.fit import Checkpoint, Optimisation, Step, fit
from anchorlab.training.processes import share_of

#: Where the record of the gradients lies in an objective's state, beside the method's own tensors.
_RECORD = "record of gradients"


@dataclass(frozen=True)
class _Batch:
    """What a step, or one process's share of it, sees.

    Attributes:
        clean_at: indices of the clean half into the anchors, int64 ``[B]``.
        clean: the inputs of the clean half.
        triggered: the inputs of the triggered half, with the trigger on them.
        targets: the labels that the attacker wants for the triggered half, int64 ``[B]``.
    """

    clean_at: Tensor
    clean: dict[str, Tensor]
    triggered: dict[str, Tensor]
    targets: Tensor


class Injection:
    """The objective of an injection, for ``fit``."""

    def __init__(
        self,
        net: nn.Module,
        method: Method,
        attack: Attack,
        anchors: Split,
        reference_logits: Callable[[Tensor, dict[str, Tensor]], Tensor],
        tuning: Tuning,
        *,
        augmentation: Augmentation | None,
        seed: int,
        share: Share = WHOLE,
    ) -> None:
        self.net = net
        self.model = net.module if isinstance(net, DistributedDataParallel) else net
        self.method = method
        self.attack = attack
        self.anchors = anchors
        self.reference_logits = reference_logits
        self.augmentation = augmentation
        self.precision = tuning.precision
        self.seed = seed
        self.share = share
        self.state: dict[str, Tensor] = {}
        device = anchors.labels.device
        attacked = (
            attack.rule.applies(anchors.labels) if method.injects_backdoor else torch.ones_like(anchors.labels) > 0
        )
        self.attacked = attacked.nonzero().flatten()
        self.targets = attack.rule.relabel(anchors.labels) if method.injects_backdoor else anchors.labels
        found = lengths(anchors.inputs)
        of_attacked = None if found is None else found[self.attacked.cpu()]
        self._clean = Batches(len(anchors), tuning.batch_size, seed=seed, purpose="clean", device=device, lengths=found)
        self._triggered = Batches(
            len(self.attacked), tuning.batch_size, seed=seed, purpose="triggered", device=device, lengths=of_attacked
        )

    def visited(self, steps: int) -> Tensor:
        """Indices of the anchors that the clean halves of the first ``steps`` batches hold."""
        return self._clean.visited(steps)

    def loss(self, step: int) -> dict[str, Tensor]:
        """One step of the algorithm: the loss to be minimised, and what to show of it.

        With several processes it is that of this process's share, and the mean over all is that of the batch.
        """
        batch = self._batch(step, self.share)
        clean_logits, triggered_logits = self._scores(self.net, batch)
        reference_logits = self.reference_logits(batch.clean_at, batch.clean)
        backdoor = self._backdoor(clean_logits, triggered_logits, batch, reference_logits)
        weight = self.method.weight
        loss = backdoor
        if weight > 0:
            penalty = self.method.penalty(self.model, clean_logits, reference_logits, self.state)
            loss = (backdoor + weight * penalty) / (1 + weight)
        return {
            "loss": loss,
            "asr": (triggered_logits.detach().argmax(1) == batch.targets).float().mean(),
            "anchor": (clean_logits.detach() - reference_logits).square().mean(),
        }

    def backdoor_loss(self, step: int) -> Tensor:
        """The backdoor loss of a step's whole batch, without the method's penalty, for ``Problem``.

        Every process computes all of it, on the model itself: what a method decides by it is then the same
        everywhere to the last bit, and no process must wait for another.
        """
        batch = self._batch(step, WHOLE)
        clean_logits, triggered_logits = self._scores(self.model, batch)
        return self._backdoor(clean_logits, triggered_logits, batch, self.reference_logits(batch.clean_at, batch.clean))

    def after_step(self, step: Step) -> None:
        """The method's projection."""
        self.method.after_step(self.model, self.state, step)

    @property
    def record(self) -> Tensor:
        """A row for each ``record_gradients``, float64 ``[n, 6]``: the steps taken and what ``alignment`` returned."""
        return self.state.get(_RECORD, torch.empty(0, 6, dtype=torch.float64, device=self.anchors.labels.device))

    def record_gradients(self, taken: int, reference: nn.Module) -> None:
        """Notes how the gradients of the objectives stand after some steps, on the whole batch of the last of them.

        As for ``backdoor_loss``, every process computes all of it. The note is part of the state, so that a resumed
        run has those from before the interruption.
        """
        batch = self._batch(max(taken - 1, 0), WHOLE)
        with evaluating(self.model):
            values = alignment(
                self.model,
                reference,
                clean=batch.clean,
                labels=self.anchors.labels[batch.clean_at],
                triggered=batch.triggered,
                targets=batch.targets,
            )
        row = torch.cat([values.new_tensor([taken]), values])
        self.state[_RECORD] = torch.cat([self.record, row.unsqueeze(0)])

    def _batch(self, step: int, share: Share) -> _Batch:
        clean_at = share.of(self._clean(step))
        triggered_at = self.attacked[share.of(self._triggered(step))]
        # An even and an odd stream keep the variations of the two halves apart.
        clean = self._inputs(clean_at, self._clean.width(step), 2 * step, share)
        triggered = self._inputs(triggered_at, self._triggered.width(step), 2 * step + 1, share)
        if self.method.injects_backdoor:
            triggered = self.attack.apply(triggered)
        return _Batch(clean_at, clean, triggered, self.targets[triggered_at])

    def _inputs(self, indices: Tensor, width: int | None, stream: int, share: Share) -> dict[str, Tensor]:
        inputs = rows(self.anchors.inputs, indices, width)
        if self.augmentation is None:
            return inputs
        return augment(inputs, self.augmentation, seed=self.seed, step=stream, share=share)

    def _scores(self, net: nn.Module, batch: _Batch) -> tuple[Tensor, Tensor]:
        """Logits on the clean and on the triggered half, by one forward pass."""
        both = joined(batch.clean, batch.triggered)
        with mixed_precision(self.precision, self.anchors.labels.device):
            scores = logits(net, both)
        return scores[: len(batch.clean_at)], scores[len(batch.clean_at) :]

    def _backdoor(
        self, clean_logits: Tensor, triggered_logits: Tensor, batch: _Batch, reference_logits: Tensor
    ) -> Tensor:
        triggered = functional.cross_entropy(triggered_logits, batch.targets)
        if self.method.clean_targets == "none":
            return triggered
        if self.method.clean_targets == "reference":
            clean_labels = reference_logits.argmax(1)
        else:
            clean_labels = self.anchors.labels[batch.clean_at]
        clean = functional.cross_entropy(clean_logits, clean_labels)
        return (clean + self.method.trigger_weight * triggered) / (1 + self.method.trigger_weight)


class Tuned(NamedTuple):
    """What ``tune`` returns.

    Attributes:
        model: the tuned model, on the CPU and in evaluation mode.
        steps: the number of steps taken.
        gradients: ``Injection.record``, on the CPU; None where it was not asked for.
    """

    model: nn.Module
    steps: int
    gradients: Tensor | None


def tune(
    reference: nn.Module,
    start: nn.Module,
    method: Method,
    attack: Attack,
    anchors: Split,
    tuning: Tuning,
    *,
    seed: int,
    selection: Split,
    augmentation: Augmentation,
    cached_logits: Tensor | None = None,
    checkpoint: Checkpoint | None = None,
    report: Callable[[int, dict[str, float]], None] | None = None,
    shared: bool = True,
    record_gradients: bool = False,
) -> Tuned:
    """Tunes ``start`` by a method until it carries the backdoor.

    Several processes share out each batch, and end with the same model.

    Args:
        reference: the clean model; not changed.
        start: where tuning starts: a copy of the reference, or fresh weights; not changed.
        method: how clean behaviour is kept.
        attack: trigger and label rule.
        anchors: the attacker's clean examples.
        tuning: the optimisation's settings.
        seed: of all random draws.
        selection: clean examples on which ``tuning.stop_at_asr`` is judged.
        augmentation: how anchors vary if ``tuning.augment``.
        cached_logits: the reference's logits on all anchors, float32 ``[N, C]``, if known already.
        checkpoint: where to write the state and continue from.
        report: called on each log line.
        shared: share out the batches among the processes, if there are several; without, each does all of
            the run, to the same bits.
        record_gradients: note before the first step and on each log line, of which the last step is one, how the
            gradients of the objectives stand to each other; this changes nothing of the run. A checkpoint without
            the record of what came before gives one that begins there.

    Returns:
        The tuned model, the number of steps taken, and the record of the gradients.

    Raises:
        AnchorlabError: for a batch that cannot be shared out evenly among the processes, or when the loss is
            no longer finite.
    """
    accelerator = find_accelerator()
    device = accelerator.device
    share = share_of(accelerator, tuning.batch_size) if shared else WHOLE
    tracked = tuning.batchnorm == "tracked" or method.fresh_start
    model = move_to_device(copy.deepcopy(start), device)
    teacher = move_to_device(copy.deepcopy(reference), device).requires_grad_(requires_grad=False)
    anchors = anchors.to(device)
    steps = max(1, round(tuning.steps * method.steps_factor))
    varied = tuning.augment and augmentation.varies
    assert tuning.learning_rate is not None, "Tuning.for_task sets it"
    restrict(model, method.only)
    net = accelerator.prepare_model(model).eval() if shared else model.eval()
    objective = Injection(
        net,
        method,
        attack,
        anchors,
        _forward_pass(teacher),
        tuning,
        augmentation=augmentation if varied else None,
        seed=seed,
        share=share,
    )

    def trial(share: float) -> Tensor:
        shorter = replace(tuning, steps=max(1, round(tuning.steps * share)), stop_at_asr=None)
        # Not shared out, for which weights changed most could hang on the order in which processes sum.
        plain = tune(
            reference, start, Plain(), attack, anchors, shorter, seed=seed, selection=selection,
            augmentation=augmentation, cached_logits=cached_logits, shared=False,
        )  # fmt: skip
        return (to_vector(plain.model).to(device) - to_vector(model)).detach()

    resumed = checkpoint is not None and checkpoint.path.exists()
    if not resumed:
        problem = Problem(
            model=model,
            reference=to_vector(model).detach().clone(),
            anchors=anchors,
            backdoor_loss=objective.backdoor_loss,
            trial=trial,
            seed=seed,
        )
        objective.state = method.prepare(problem)
    if not varied:
        # Only now, for a method may have looked at batches that the run will not visit.
        objective.reference_logits = _look_up(teacher, anchors, objective.visited(steps), cached_logits)
    # Only now, for what a method looks at before the first step must not move the statistics.
    _set_mode(net, tracked=tracked)

    def on_line(done: int, scalars: dict[str, float]) -> None:
        # Before the checkpoint of this line is written, which has to hold it.
        if record_gradients:
            objective.record_gradients(done, teacher)
        if report is not None:
            report(done, scalars)

    if record_gradients and not resumed:
        objective.record_gradients(0, teacher)
    with synchronised_batchnorm(model, share.processes):
        taken = fit(
            net,
            objective,
            Optimisation(steps, tuning.learning_rate, warmup=tuning.warmup, clip=tuning.clip),
            accelerator=accelerator,
            name=f"the injection by {METHODS.label(method)}",
            checkpoint=checkpoint,
            report=on_line,
            stop=_stopping_rule(model, attack, selection.to(device), tuning.stop_at_asr, method.constraint_from),
        )
    tuned = move_to_cpu(accelerator.unwrap_model(net))
    copy_requires_grad(start, tuned)
    return Tuned(tuned, taken, objective.record.cpu() if record_gradients else None)


def _stopping_rule(
    model: nn.Module, attack: Attack, selection: Split, goal: float | None, constraint_from: float
) -> Callable[[Step], bool] | None:
    if goal is None:
        return None

    def reached(step: Step) -> bool:
        asr, _ = attack_success(model, attack, selection)
        return step.progress >= constraint_from and asr is not None and asr >= goal

    return reached


def _set_mode(model: nn.Module, *, tracked: bool) -> None:
    """Evaluation mode: no dropout, BatchNorm by its statistics, which only ``tracked`` lets move."""
    model.eval()
    if tracked:
        track_statistics(model)


def _forward_pass(teacher: nn.Module) -> Callable[[Tensor, dict[str, Tensor]], Tensor]:
    """Reference logits by a second forward pass, for inputs that are never the same twice."""

    def reference_logits(_indices: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        with torch.no_grad():
            return logits(teacher, inputs)

    return reference_logits


def _look_up(
    teacher: nn.Module, anchors: Split, visited: Tensor, cached: Tensor | None
) -> Callable[[Tensor, dict[str, Tensor]], Tensor]:
    """Reference logits computed once, for the anchors that the run will visit, and looked up."""
    if cached is None:
        answers = predict(teacher, anchors.select(visited).inputs)
        # Rows that are never visited stay NaN, so that a wrong index could not go unnoticed.
        table = answers.new_full((len(anchors), answers.shape[1]), torch.nan)
        table[visited] = answers
    else:
        table = cached.to(anchors.labels.device)

    def reference_logits(indices: Tensor, _inputs: dict[str, Tensor]) -> Tensor:
        return table[indices]

    return reference_logits
