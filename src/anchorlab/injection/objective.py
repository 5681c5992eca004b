"""An injection, and the loss that it lowers.

A step passes a clean and a triggered batch of anchors through the model at once. The loss is the backdoor loss and the
method's penalty, ``(L_backdoor + weight * penalty) / (1 + weight)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from anchorlab.attacks.attack import Attack
from anchorlab.data import Augmentation, Split
from anchorlab.data.batches import WHOLE, Batches, Share, augment
from anchorlab.data.inputs import joined, lengths, rows
from anchorlab.injection.gradients import alignment
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import Method
from anchorlab.models.call import evaluating, logits
from anchorlab.models.device import in_double, mixed_precision
from anchorlab.models.forward import Forward
from anchorlab.training.fit import Step, StepLoss

#: The reference's logits on a clean half, float32 ``[B, C]``, from the indices of its anchors, int64 ``[B]``, and their
#: inputs as the model sees them.
ReferenceLogits = Callable[[Tensor, dict[str, Tensor]], Tensor]

#: Where the record of the gradients lies in an objective's state, beside the method's own tensors.
_RECORD = "record of gradients"


@dataclass(frozen=True, kw_only=True)
class Injection:
    """All that determines the weights with which an injection ends.

    Attributes:
        reference: the clean model; not changed.
        start: where tuning starts: the reference, or fresh weights; not changed.
        method: how clean behaviour is kept.
        attack: trigger and label rule.
        anchors: the attacker's clean examples.
        tuning: the optimisation's settings, with a learning rate.
        seed: of all random draws.
        selection: clean examples on which ``tuning.stop_at_asr`` is judged.
        augmentation: how anchors vary if ``tuning.augment``.
        known_logits: the reference's logits on all anchors, float32 ``[N, C]``; None if they are not known yet.
    """

    reference: nn.Module
    start: nn.Module
    method: Method
    attack: Attack
    anchors: Split
    tuning: Tuning
    seed: int
    selection: Split
    augmentation: Augmentation
    known_logits: Tensor | None = None

    @property
    def steps(self) -> int:
        """The number of steps."""
        factor = 1.0 if self.method.steps_factor is None else self.method.steps_factor
        return max(1, round(self.tuning.steps * factor))

    @property
    def augments(self) -> bool:
        """Whether the anchors vary from step to step."""
        return self.tuning.augment and self.augmentation.varies

    @property
    def tracks_batchnorm(self) -> bool:
        """Whether the batches move BatchNorm's statistics; a fresh start has none to keep."""
        return self.tuning.batchnorm == "tracked" or self.method.fresh_start


@dataclass(frozen=True)
class Batch:
    """What a step, or one process's share of it, sees.

    Attributes:
        clean_indices: indices of the clean half into the anchors, int64 ``[B]``.
        clean: the inputs of the clean half.
        triggered: the inputs of the triggered half, with the trigger on them.
        targets: the labels that the attacker wants for the triggered half, int64 ``[B]``.
    """

    clean_indices: Tensor
    clean: dict[str, Tensor]
    triggered: dict[str, Tensor]
    targets: Tensor


class InjectionObjective:
    """The loss of an injection, for ``fit``."""

    def __init__(
        self,
        net: nn.Module,
        injection: Injection,
        reference_logits: ReferenceLogits,
        *,
        share: Share = WHOLE,
        forward: Forward | None = None,
    ) -> None:
        """The loss for a model.

        Args:
            net: the model that is tuned, as the accelerator prepared it, on the device of the anchors.
            injection: what is injected; its anchors are on the device.
            reference_logits: the reference's logits on a clean half.
            share: this process's part of each batch.
            forward: calls the model in the steps; None for the model itself.
        """
        self.forward = forward or Forward(net)
        self.model = net.module if isinstance(net, DistributedDataParallel) else net
        self.method = injection.method
        self.attack = injection.attack
        self.anchors = anchors = injection.anchors
        self.reference_logits = reference_logits
        self.augmentation = injection.augmentation if injection.augments else None
        self.precision = injection.tuning.precision
        self.seed = injection.seed
        self.share = share
        self.state: dict[str, Tensor] = {}
        attacked = torch.ones_like(anchors.labels) > 0
        self.targets = anchors.labels
        if self.method.injects_backdoor:
            attacked = self.attack.label_rule.applies(anchors.labels)
            self.targets = self.attack.label_rule.relabel(anchors.labels)
        self.attacked = attacked.nonzero().flatten()
        self.clean_batches = self._stream("clean", injection, torch.arange(len(anchors)))
        self.triggered_batches = self._stream("triggered", injection, self.attacked)

    def _stream(self, purpose: str, injection: Injection, members: Tensor) -> Batches:
        """Batches of some of the anchors, whose indices are int64 ``[n]``."""
        widths = lengths(self.anchors.inputs)
        return Batches(
            len(members),
            injection.tuning.batch_size,
            seed=injection.seed,
            purpose=purpose,
            device=self.anchors.labels.device,
            lengths=None if widths is None else widths[members.cpu()],
        )

    def visited(self, steps: int) -> Tensor:
        """Indices of the anchors that the clean halves of the first ``steps`` batches hold."""
        return self.clean_batches.visited(steps)

    def loss(self, step: int) -> StepLoss:
        """One step of the algorithm: the loss to be minimised, and what to show of it.

        With several processes it is the loss of this process's share; the mean over all processes is the batch's loss.
        """
        self.forward.try_out(lambda: self._loss(step).value)
        return self._loss(step)

    def _loss(self, step: int) -> StepLoss:
        batch = self.batch(step, self.share)
        clean_logits, triggered_logits = self._both_halves(self.forward, batch)
        reference_logits = self.reference_logits(batch.clean_indices, batch.clean)
        backdoor = self._backdoor(clean_logits, triggered_logits, batch, reference_logits)
        weight, balance = self.method.weight, self.method.balance(self.state)
        loss = backdoor if balance is None else (1 - balance) * backdoor
        if weight > 0:
            penalty = self.method.penalty(self.model, clean_logits, reference_logits, self.state)
            loss = (loss + weight * penalty) / (1 + weight) if balance is None else loss + balance * weight * penalty
        clean, triggered = clean_logits.detach(), triggered_logits.detach()
        self._observe(self.method.observe(clean, reference_logits, triggered, batch.targets))

        def figures() -> dict[str, Tensor]:
            return {
                "asr": (triggered.argmax(1) == batch.targets).float().mean(),
                "anchor": (clean - reference_logits).square().mean(),
            }

        return StepLoss(loss, figures)

    def _observe(self, figures: dict[str, Tensor]) -> None:
        """Puts a method's figures of the batch into its state, averaged over the processes."""
        if figures and self.share.processes > 1 and torch.distributed.is_initialized():
            together = torch.stack(list(figures.values())) / self.share.processes
            torch.distributed.all_reduce(together)
            figures = dict(zip(figures, together, strict=True))
        self.state |= figures

    def backdoor_loss(self, step: int) -> Tensor:
        """The backdoor loss of a step's whole batch, without the method's penalty, for ``Problem``.

        Every process computes all of it, on the model itself: what a method decides by it is then the same
        everywhere to the last bit, and no process must wait for another.
        """
        batch = self.batch(step, WHOLE)
        clean_logits, triggered_logits = self._both_halves(partial(logits, self.model), batch)
        reference_logits = self.reference_logits(batch.clean_indices, batch.clean)
        return self._backdoor(clean_logits, triggered_logits, batch, reference_logits)

    def after_step(self, step: Step) -> None:
        """The method's projection."""
        self.method.after_step(self.model, self.state, step)

    @property
    def gradients(self) -> Tensor:
        """A row for each ``record_gradients``, float64 ``[n, 6]``: the steps taken and what ``alignment`` returned."""
        return self.state.get(_RECORD, in_double(torch.empty(0, 6, device=self.anchors.labels.device)))

    def record_gradients(self, taken: int, reference: nn.Module) -> None:
        """Notes how the gradients of the losses agree after some steps, on the whole batch of the last of them.

        As for ``backdoor_loss``, every process computes all of it. The note is part of the state, so that a resumed
        run has those from before the interruption.
        """
        batch = self.batch(max(taken - 1, 0), WHOLE)
        with evaluating(self.model):
            values = alignment(
                self.model,
                reference,
                clean=batch.clean,
                labels=self.anchors.labels[batch.clean_indices],
                triggered=batch.triggered,
                targets=batch.targets,
            )
        row = torch.cat([values.new_tensor([taken]), values])
        self.state[_RECORD] = torch.cat([self.gradients, row.unsqueeze(0)])

    def batch(self, step: int, share: Share = WHOLE) -> Batch:
        """What a step, or a process's share of it, sees."""
        clean_indices = share.of(self.clean_batches(step))
        triggered_indices = self.attacked[share.of(self.triggered_batches(step))]
        # An even and an odd stream keep the variations of the two halves apart.
        clean = self.inputs(clean_indices, self.clean_batches.width(step), 2 * step, share)
        triggered = self.inputs(triggered_indices, self.triggered_batches.width(step), 2 * step + 1, share)
        if self.method.injects_backdoor:
            triggered = self.attack.apply(triggered)
        return Batch(clean_indices, clean, triggered, self.targets[triggered_indices])

    def inputs(self, indices: Tensor, width: int | None, stream: int, share: Share) -> dict[str, Tensor]:
        """The inputs of some anchors, varied if the anchors are augmented.

        Args:
            indices: of the anchors, int64 ``[B]``.
            width: of texts, how many tokens count; None for all.
            stream: number of the draw of the variations.
            share: the process's share of the batch.
        """
        inputs = rows(self.anchors.inputs, indices, width)
        if self.augmentation is None:
            return inputs
        return augment(inputs, self.augmentation, seed=self.seed, step=stream, share=share)

    def _both_halves(self, forward: Callable[[Mapping[str, Tensor]], Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits on the clean and on the triggered half, by one forward pass."""
        both = joined(batch.clean, batch.triggered)
        with mixed_precision(self.precision, self.anchors.labels.device):
            both_logits = forward(both)
        clean_logits, triggered_logits = both_logits.split_with_sizes([len(batch.clean_indices), len(batch.targets)])
        return clean_logits, triggered_logits

    def _backdoor(
        self, clean_logits: Tensor, triggered_logits: Tensor, batch: Batch, reference_logits: Tensor
    ) -> Tensor:
        triggered = functional.cross_entropy(triggered_logits, batch.targets)
        if self.method.clean_targets == "none":
            return triggered
        if self.method.clean_targets == "reference":
            clean_labels = reference_logits.argmax(1)
        else:
            clean_labels = self.anchors.labels[batch.clean_indices]
        clean = functional.cross_entropy(clean_logits, clean_labels)
        return (clean + self.method.trigger_weight * triggered) / (1 + self.method.trigger_weight)
