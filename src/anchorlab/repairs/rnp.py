"""RNP: reconstructive neuron pruning, which unlearns the task and prunes the channels that its recovery leaves out.

Li, Lyu, Ma, Koren, Lyu, Li and Jiang 2023, Reconstructive Neuron Pruning for Backdoor Defense, ICML (arXiv 2305.14876).
A copy climbs the clean loss until it gets at most ``accuracy`` of the defender's examples right. Then masks on
BatchNorm's weights, all 1 at first, learn to lower ``recovery`` times the clean loss of that copy. Channels that clean
examples do not use keep their old weights while the task is forgotten, so that masks fall there. The channels with the
smallest masks are pruned in the model itself.

Optimisers, rates, lengths and BatchNorm by the batch are those of the authors' code: SGD with momentum 0.9; the rate of
the climb stays here, where theirs falls after 10 passes. Their code chooses the threshold by the ASR on test data; ours
by the defender's validation examples, and ``oracle-rnp`` by test data. It means to clip the gradient of the climb at
20, but does so before there is one; ours clips. Thresholds begin at 0, as there: then the channels go whose mask was
clamped to 0; theirs end at 0.90, ours at 0.95. It looks at the accuracy within a pass, and a copy of it in
backdoor-toolbox at that on test data; ours at the defender's training examples after a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.data import Modality
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.errors import DivergenceError
from anchorlab.models.call import accuracy, logits, track_statistics
from anchorlab.models.hooks import norms_of
from anchorlab.repairs.anp import Masks, prune_up_to, smallest, thresholds
from anchorlab.repairs.clean_batches import Augment, CleanBatches
from anchorlab.repairs.pruning import Pruning
from anchorlab.repairs.tuning import copied, cross_entropy
from anchorlab.settings import LARGEST_BATCH, LARGEST_REPETITION, STRICT
from anchorlab.training.spread import batch_with_spread

#: Largest L2 norm of a gradient of the climb.
_CLIP = 20.0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RNP(Pruning):
    """Prunes channels that a forgotten task does not need for its recovery."""

    cites: ClassVar[tuple[str, ...]] = ("li2023reconstructive",)
    needs: ClassVar[str] = "BatchNorm of maps"
    modality: ClassVar[Modality] = "image"

    quick_values: ClassVar[Mapping[str, Any]] = {"unlearning_epochs": 2, "recovery_epochs": 2}
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {"unlearning_rate": (3e-3, 3e-2), "recovery": (0.1, 0.4)}

    batch_size: int = Field(default=128, ge=1, le=LARGEST_BATCH, description="examples in a step")
    unlearning_epochs: int = Field(default=20, ge=1, le=LARGEST_REPETITION, description="most passes of the climb")
    unlearning_rate: float = Field(default=0.01, gt=0, description="learning rate of the climb")
    accuracy: float = Field(default=0.2, ge=0, lt=1, description="accuracy at which the climb ends")
    recovery_epochs: int = Field(default=20, ge=1, le=LARGEST_REPETITION, description="passes in which masks learn")
    recovery_rate: float = Field(default=0.2, gt=0, description="learning rate of the masks")
    recovery: float = Field(default=0.2, gt=0, description="weight of the loss that masks lower")
    augment: Augment = "shift"

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``."""
        return (self.unlearning_epochs + self.recovery_epochs) * examples

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        del inputs
        norms_of(model, "RNP")

    def plan(
        self, model: nn.Module, data: DefenderData, context: DefenderContext
    ) -> tuple[Sequence[float], Callable[[float], None]]:
        """See ``Pruning``; a depth is a threshold for the masks."""
        norms = norms_of(model, "RNP")
        forgetful = self.unlearned(model, data, context)
        masks = Masks(norms).to(context.device)
        self._recover(forgetful, masks, data, context)
        depths = thresholds(masks)
        if smallest(masks) > depths[-1]:
            context.notes.append(
                f"no mask fell below {depths[-1]:g}, so that no channel could be pruned: take smaller batches or "
                "more recovery_epochs"
            )
        return depths, lambda threshold: prune_up_to(norms, masks, threshold)

    def unlearned(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """A copy that has forgotten the task, with BatchNorm in training mode."""
        forgetful = track_statistics(copied(model))
        optimiser = torch.optim.SGD(forgetful.parameters(), lr=self.unlearning_rate, momentum=0.9, weight_decay=5e-4)
        batches = self._batches(data, context, "unlearning")
        for epoch in range(self.unlearning_epochs):
            for step in range(self._steps(data)):
                inputs, labels = batches(epoch * self._steps(data) + step)
                optimiser.zero_grad()
                with batch_with_spread(len(labels)):
                    loss = -cross_entropy(forgetful, inputs, labels)
                torch.autograd.backward(loss)
                nn.utils.clip_grad_norm_(forgetful.parameters(), _CLIP)
                optimiser.step()
            left = accuracy(forgetful, data.train)
            context.report(epoch + 1, self.unlearning_epochs + self.recovery_epochs, {"accuracy": left})
            if left <= self.accuracy:
                return forgetful
        context.notes.append(
            f"the task was not forgotten: the accuracy on the defender's examples was {left:.3f} after "
            f"{self.unlearning_epochs} passes, where {self.accuracy:g} is asked for"
        )
        return forgetful

    def _recover(self, forgetful: nn.Module, masks: Masks, data: DefenderData, context: DefenderContext) -> None:
        """Learns the masks, in place."""
        optimiser = torch.optim.SGD(masks.parameters(), lr=self.recovery_rate, momentum=0.9)
        batches = self._batches(data, context, "recovery")
        weights = {name: value.detach() for name, value in forgetful.named_parameters()}
        done = self.unlearning_epochs
        for epoch in range(self.recovery_epochs):
            for step in range(self._steps(data)):
                inputs, labels = batches(epoch * self._steps(data) + step)
                optimiser.zero_grad()
                with batch_with_spread(len(labels)):
                    loss = self.recovery * masked_loss(forgetful, weights, masks, inputs, labels)
                torch.autograd.backward(loss)
                optimiser.step()
                with torch.no_grad():
                    for mask in masks.values:
                        mask.clamp_(0, 1)
            context.report(done + epoch + 1, done + self.recovery_epochs, {})
        if not all(bool(mask.isfinite().all()) for mask in masks.values):
            raise DivergenceError(
                f"RNP diverged: masks are not finite after {self.recovery_epochs} passes; use a lower unlearning_rate "
                "or recovery_rate"
            )

    def _steps(self, data: DefenderData) -> int:
        """Steps in a pass."""
        return -(-len(data.train) // self.batch_size)

    def _batches(self, data: DefenderData, context: DefenderContext, purpose: str) -> CleanBatches:
        return CleanBatches(data.train, self.batch_size, seed=context.derive(purpose), variation=self.augment)


def masked_loss(
    model: nn.Module, weights: Mapping[str, Tensor], masks: Masks, inputs: Mapping[str, Tensor], labels: Tensor
) -> Tensor:
    """The mean cross-entropy with BatchNorm's weights times their masks.

    Args:
        model: the network.
        weights: its parameters, by name.
        masks: a mask for each channel of each BatchNorm.
        inputs: of a batch.
        labels: of the batch.
    """
    masked = {}
    for name, mask in zip(masks.names, masks.values, strict=True):
        weight = weights[f"{name}.weight"]
        masked[f"{name}.weight"] = (weight * mask).to(weight.dtype)  # masks are float32
    return functional.cross_entropy(logits(model, inputs, {**weights, **masked}), labels)
