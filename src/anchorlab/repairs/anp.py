"""ANP: adversarial neuron pruning.

Wu and Wang 2021, Adversarial Neuron Pruning Purifies Backdoored Deep Models, NeurIPS (arXiv 2110.14430). Channels are
masks on BatchNorm's weights; masks are learned that keep the clean loss low although weights and biases of all channels
are perturbed within a box against it, and channels whose mask falls to a threshold are pruned. The threshold is chosen
on the defender's validation examples: the highest that costs at most ``tolerance`` of the accuracy there. The form
``oracle-anp`` chooses it on the test data. Thresholds begin at 0, as in the authors' code: there, the channels go whose
mask is 0. While masks are learned, BatchNorm normalises by the batch, as in the
authors' code; the paper does not say it. By running statistics masks collapse at once, and hardly a threshold is left
to choose. Masks are learned by AdamW in the shared loop; the paper uses SGD.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.data import Modality
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.defender.neuron_noise import Noise, worst_noise
from anchorlab.models.call import logits, track_statistics
from anchorlab.models.hooks import norms_of
from anchorlab.repairs.clean_batches import Augment, CleanBatches
from anchorlab.repairs.pruning import Pruning
from anchorlab.repairs.tuning import copied
from anchorlab.settings import LARGEST_BATCH, LARGEST_REPETITION, NEW, STRICT, formerly
from anchorlab.training.fit import Optimisation, Step, StepLoss, fit
from anchorlab.training.spread import batch_with_spread


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ANP(Pruning):
    """Prunes channels that an adversary could wake."""

    cites: ClassVar[tuple[str, ...]] = ("wu2021adversarial",)
    needs: ClassVar[str] = "BatchNorm of maps"
    modality: ClassVar[Modality] = "image"

    quick_values: ClassVar[Mapping[str, Any]] = {"steps": 3}
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {"learning_rate": (0.05, 0.5), "radius": (0.2, 0.6)}

    steps: int = Field(default=400, ge=1, le=LARGEST_REPETITION, description="steps in which masks are learned")
    batch_size: int = Field(default=64, ge=1, le=LARGEST_BATCH, description="examples in a step")
    learning_rate: float = Field(
        default=0.15, gt=0, description="peak learning rate of the masks", json_schema_extra=formerly(0.05)
    )
    radius: float = Field(default=0.4, ge=0, description="largest relative perturbation of weights and biases")
    clean_share: float = Field(default=0.2, ge=0, le=1, description="weight of the loss without perturbation")
    batchnorm: Literal["batch", "running"] = Field(
        default="batch",
        description="statistics that BatchNorm normalises by while masks are learned",
        json_schema_extra=NEW,
    )
    augment: Augment = "shift"

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``: for the perturbation, under it and without; of two thirds, as weights have no gradient."""
        return 2 * self.steps * min(self.batch_size, examples)

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        del inputs
        norms_of(model, "ANP")

    def plan(
        self, model: nn.Module, data: DefenderData, context: DefenderContext
    ) -> tuple[Sequence[float], Callable[[float], None]]:
        """See ``Pruning``; a depth is a threshold for the masks."""
        norms = norms_of(model, "ANP")
        masks = Masks(norms).to(context.device)
        # A copy, because the batches move the running statistics.
        learner = track_statistics(copied(model)) if self.batchnorm == "batch" else model
        fit(
            masks,
            _MaskObjective(learner, masks, data, self, context),
            Optimisation(self.steps, self.learning_rate),
            accelerator=context.accelerator,
            name="ANP",
            report=lambda done, figures: context.report(done, self.steps, figures),
        )
        return thresholds(masks), lambda threshold: prune_up_to(norms, masks, threshold)


class Masks(nn.Module):
    """A mask in [0, 1] for each channel of each BatchNorm, all 1 at first."""

    def __init__(self, norms: dict[str, nn.BatchNorm2d]) -> None:
        super().__init__()
        self.names = list(norms)
        self.values = nn.ParameterList([torch.ones(norm.num_features) for norm in norms.values()])


def thresholds(masks: Masks) -> list[float]:
    """From shallow to deep: 0 where a mask is 0, and then 0.05, 0.1 and so on up to 0.95."""
    return [step / 20 for step in range(0 if smallest(masks) <= 0 else 1, 20)]


def smallest(masks: Masks) -> float:
    """The smallest mask of all channels."""
    return min(float(mask.detach().min()) for mask in masks.values)


@torch.no_grad()
def prune_up_to(norms: dict[str, nn.BatchNorm2d], masks: Masks, threshold: float) -> None:
    """Prunes channels whose mask is at most a threshold: their BatchNorm puts out its bias alone."""
    for name, mask in zip(masks.names, masks.values, strict=True):
        norms[name].weight[mask <= threshold] = 0


class _MaskObjective:
    """The masks' objective, for ``fit``: the clean loss, and the loss under the worst perturbation of channels."""

    def __init__(
        self, model: nn.Module, masks: Masks, data: DefenderData, settings: ANP, context: DefenderContext
    ) -> None:
        self.state: dict[str, Tensor] = {}
        self._model, self._masks, self._settings, self._context = model, masks, settings, context
        self._parameters = {name: value.detach() for name, value in model.named_parameters()}
        self._batches = CleanBatches(
            data.train, settings.batch_size, seed=context.derive("batches"), variation=settings.augment
        )

    def loss(self, step: int) -> StepLoss:
        """The weighted losses of a step."""
        inputs, labels = self._batches(step)
        masks = list(self._masks.values)
        share = self._settings.clean_share
        with batch_with_spread(len(labels)):
            worst = self._worst_perturbation(inputs, labels, [mask.detach() for mask in masks], step)
            clean = self._loss(inputs, labels, masks, None)
            return StepLoss(share * clean + (1 - share) * self._loss(inputs, labels, masks, worst))

    def after_step(self, step: Step) -> None:
        """Masks stay in [0, 1]."""
        del step
        with torch.no_grad():
            for mask in self._masks.values:
                mask.clamp_(0, 1)

    def _worst_perturbation(self, inputs: dict[str, Tensor], labels: Tensor, masks: list[Tensor], step: int) -> Noise:
        """One step of sign ascent to the edge of the box, from a random start within it."""
        return worst_noise(
            lambda noise: self._loss(inputs, labels, masks, noise),
            [len(mask) for mask in masks],
            self._settings.radius,
            self._context.generator("perturbation", step),
            masks[0].device,
        )

    def _loss(
        self,
        inputs: dict[str, Tensor],
        labels: Tensor,
        masks: list[Tensor],
        perturbation: Noise | None,
    ) -> Tensor:
        """The loss with weights times ``mask + d`` and biases times ``1 + e``."""
        weights = dict(self._parameters)
        for number, (name, mask) in enumerate(zip(self._masks.names, masks, strict=True)):
            d, e = (0.0, 0.0) if perturbation is None else perturbation[number]
            weight, bias = (self._parameters[f"{name}.{which}"] for which in ("weight", "bias"))
            # Masks and noise are float32, and the product is as the model's own.
            weights[f"{name}.weight"] = (weight * (mask + d)).to(weight.dtype)
            weights[f"{name}.bias"] = (bias * (1 + e)).to(bias.dtype)
        return functional.cross_entropy(logits(self._model, inputs, weights), labels)
