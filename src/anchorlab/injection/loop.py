"""The one tuning loop of all methods.

Each step: take a clean and a triggered batch of anchors, one forward pass over both, the backdoor loss,
the method's penalty, a step of the optimiser, the method's projection. What is not in this box (learning
rate, clipping, checkpoints, divergence) is in ``anchorlab.fitting``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from accelerate import Accelerator
from pydantic import Field
from pydantic.dataclasses import dataclass as options
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.attacks import Attack, attack_success
from anchorlab.batches import Batches, augment
from anchorlab.fitting import Checkpoint, Optimisation, Step, fit
from anchorlab.injection.methods import Method, Problem
from anchorlab.injection.methods.plain import Plain
from anchorlab.injection.vector import to_vector
from anchorlab.models import logits, mixed_precision, placed, predict, taken_back
from anchorlab.options import STRICT
from anchorlab.tasks import Augmentation, Split


@options(frozen=True, kw_only=True, config=STRICT)
class Tuning:
    """How an injection is optimised; the same for every method."""

    steps: int = Field(default=600, ge=1, description="number of steps")
    batch_size: int = Field(default=64, ge=1, description="clean examples in a step, and as many triggered ones")
    learning_rate: float = Field(default=1e-3, gt=0, description="peak learning rate of AdamW")
    warmup: float = Field(default=0.1, ge=0, lt=1, description="share of the steps in which the rate rises")
    clip: float = Field(default=1.0, gt=0, description="largest L2 norm of the gradient")
    batchnorm: Literal["frozen", "tracked"] = Field(
        default="frozen", description="keep BatchNorm's statistics, or let the batches move them"
    )
    augment: bool = Field(default=False, description="vary the anchors as the task's training does")
    precision: Literal["no", "bf16"] = Field(default="no", description="mixed precision")
    stop_at_asr: float | None = Field(
        default=None, gt=0, le=1, description="stop as soon as the ASR on the selection split reaches this"
    )


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
        process: tuple[int, int] = (0, 1),
    ) -> None:
        self.net = net
        self.method = method
        self.attack = attack
        self.anchors = anchors
        self.reference_logits = reference_logits
        self.augmentation = augmentation
        self.precision = tuning.precision
        self.seed = seed
        self.process = process
        self.state: dict[str, Tensor] = {}
        device = anchors.labels.device
        attacked = attack.rule.applies(anchors.labels) if method.poisons else torch.ones_like(anchors.labels) > 0
        self.attacked = attacked.nonzero().flatten()
        self.targets = attack.rule.relabel(anchors.labels) if method.poisons else anchors.labels
        self._clean = Batches(len(anchors), tuning.batch_size, seed=seed, purpose="clean", device=device)
        self._triggered = Batches(len(self.attacked), tuning.batch_size, seed=seed, purpose="triggered", device=device)

    def visited(self, steps: int) -> Tensor:
        """Indices of the anchors that the clean halves of the first ``steps`` batches hold."""
        return self._clean.visited(steps)

    def loss(self, step: int) -> dict[str, Tensor]:
        """One step of the algorithm: the loss to be minimised, and what to show of it."""
        clean_at = self._share(self._clean(step))
        triggered_at = self.attacked[self._share(self._triggered(step))]
        clean = self._inputs(clean_at, step, "clean")
        triggered = self._inputs(triggered_at, step, "triggered")
        if self.method.poisons:
            triggered = self.attack.apply(triggered)
        both = {name: torch.cat([clean[name], triggered[name]]) for name in clean}
        with mixed_precision(self.precision, self.anchors.labels.device):
            scores = logits(self.net, both)
        clean_logits, triggered_logits = scores[: len(clean_at)], scores[len(clean_at) :]
        reference_logits = self.reference_logits(clean_at, clean)

        targets = self.targets[triggered_at]
        backdoor = self._backdoor(clean_logits, triggered_logits, clean_at, targets, reference_logits)
        weight = self.method.weight
        loss = backdoor
        if weight > 0:
            penalty = self.method.penalty(self.net, clean_logits, reference_logits, self.state)
            loss = (backdoor + weight * penalty) / (1 + weight)
        return {
            "loss": loss,
            "asr": (triggered_logits.detach().argmax(1) == targets).float().mean(),
            "anchor": (clean_logits.detach() - reference_logits).square().mean(),
        }

    def after_step(self, step: Step) -> None:
        """The method's projection."""
        self.method.after_step(self.net, self.state, step)

    def _backdoor(
        self,
        clean_logits: Tensor,
        triggered_logits: Tensor,
        clean_at: Tensor,
        targets: Tensor,
        reference_logits: Tensor,
    ) -> Tensor:
        triggered = functional.cross_entropy(triggered_logits, targets)
        if self.method.clean_targets == "none":
            return triggered
        if self.method.clean_targets == "reference":
            clean_labels = reference_logits.argmax(1)
        else:
            clean_labels = self.anchors.labels[clean_at]
        clean = functional.cross_entropy(clean_logits, clean_labels)
        return (clean + self.method.trigger_weight * triggered) / (1 + self.method.trigger_weight)

    def _share(self, indices: Tensor) -> Tensor:
        """This process's part of a global batch."""
        rank, processes = self.process
        return indices[rank::processes]

    def _inputs(self, indices: Tensor, step: int, half: str) -> dict[str, Tensor]:
        inputs = {name: value[indices] for name, value in self.anchors.inputs.items()}
        if self.augmentation is None:
            return inputs
        # Each process varies its own part; an even and an odd stream keep the two halves apart.
        stream = (2 * step + (half == "triggered")) * self.process[1] + self.process[0]
        return augment(inputs, self.augmentation, seed=self.seed, step=stream)


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
) -> tuple[nn.Module, int]:
    """Tunes ``start`` by a method until it carries the backdoor.

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

    Returns:
        The tuned model, on the CPU and in evaluation mode, and the number of steps taken.
    """
    accelerator = Accelerator()
    device = accelerator.device
    tracked = tuning.batchnorm == "tracked" or method.fresh_start
    model = placed(copy.deepcopy(start), device)
    teacher = placed(copy.deepcopy(reference), device).requires_grad_(requires_grad=False)
    anchors = anchors.to(device)
    steps = max(1, round(tuning.steps * method.steps_factor))
    net = accelerator.prepare_model(model).eval()
    objective = Injection(
        net,
        method,
        attack,
        anchors,
        _forward_pass(teacher),
        tuning,
        augmentation=augmentation if tuning.augment else None,
        seed=seed,
        process=(accelerator.process_index, accelerator.num_processes),
    )
    if not tuning.augment:
        objective.reference_logits = _look_up(teacher, anchors, objective.visited(steps), cached_logits)

    def trial(share: float) -> Tensor:
        shorter = replace(tuning, steps=max(1, round(tuning.steps * share)), stop_at_asr=None)
        plain, _ = tune(
            reference, start, Plain(), attack, anchors, shorter, seed=seed, selection=selection,
            augmentation=augmentation, cached_logits=cached_logits,
        )  # fmt: skip
        return (to_vector(plain).to(device) - to_vector(model)).detach()

    resumed = checkpoint is not None and checkpoint.path.exists()
    if not resumed:
        problem = Problem(
            model=model,
            reference=to_vector(model).detach().clone(),
            anchors=anchors,
            backdoor_loss=lambda step: objective.loss(step)["loss"],
            trial=trial,
            seed=seed,
        )
        objective.state = method.prepare(problem)
    # Only now, for what a method looks at before the first step must not move the statistics.
    _set_mode(net, tracked=tracked)

    taken = fit(
        net,
        objective,
        Optimisation(steps, tuning.learning_rate, warmup=tuning.warmup, clip=tuning.clip),
        accelerator=accelerator,
        name=f"the injection by {type(method).__name__.lower()}",
        checkpoint=checkpoint,
        report=report,
        stop=_stopping_rule(net, attack, selection.to(device), tuning.stop_at_asr, method.settles_at),
    )
    return taken_back(accelerator.unwrap_model(net)), taken


def _stopping_rule(
    net: nn.Module, attack: Attack, selection: Split, goal: float | None, settles_at: float
) -> Callable[[Step], bool] | None:
    if goal is None:
        return None

    def reached(step: Step) -> bool:
        training = [module.training for module in net.modules()]
        asr, _ = attack_success(net, attack, selection)
        for module, mode in zip(net.modules(), training, strict=True):
            module.training = mode
        return step.progress >= settles_at and asr is not None and asr >= goal

    return reached


def _set_mode(model: nn.Module, *, tracked: bool) -> None:
    """Evaluation mode: no dropout, BatchNorm by its statistics, which only ``tracked`` lets move."""
    model.eval()
    if tracked:
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.train()


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
