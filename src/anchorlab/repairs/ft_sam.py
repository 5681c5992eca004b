"""FT-SAM: fine-tuning that looks for flat regions of the loss.

Zhu et al. 2023, Enhancing Fine-tuning based Backdoor Defense with Sharpness-Aware Minimization, ICCV (arXiv
2304.11823). Each step takes the gradient where the loss is highest near the weights: at ``w + e``, with
``e = radius |w|^2 g / || |w| g ||``, the adaptive neighbourhood of Kwon et al. 2021 (ASAM, arXiv 2102.11600) that the
paper uses. Label smoothing and weight decay are as in the authors' code. We run it in the loop that all repairs share,
by AdamW, whose weight decay is decoupled; the paper uses SGD.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.models.call import logits, track_statistics
from anchorlab.repairs.base import Repair
from anchorlab.repairs.tuning import Schedule, copied, tune
from anchorlab.settings import NEW, STRICT, formerly


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FTSAM(Schedule, Repair):
    """Trains all weights on clean examples, against their worst small perturbation."""

    cites: ClassVar[tuple[str, ...]] = ("zhu2023enhancing", "kwon2021asam")
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {"learning_rate": (1e-3, 1e-2), "radius": (1.0, 4.0)}

    learning_rate: float = Field(
        default=3e-3, gt=0, description="peak learning rate of AdamW, one-cycle", json_schema_extra=formerly(1e-3)
    )
    radius: float = Field(default=2.0, gt=0, description="size of the neighbourhood, relative to the weights")
    label_smoothing: float = Field(
        default=0.1, ge=0, lt=1, description="share of a label spread over all classes", json_schema_extra=NEW
    )
    weight_decay: float = Field(default=5e-4, ge=0, description="AdamW's decoupled weight decay", json_schema_extra=NEW)
    batchnorm: Literal["frozen", "tracked"] = Field(
        default="tracked", description="keep BatchNorm's statistics, or let the batches move them"
    )

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``: to find the worst point nearby, and there."""
        return 2 * self.epochs * examples

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        repaired = copied(model)
        if self.batchnorm == "tracked":
            track_statistics(repaired)
        tune(repaired, data, self, context, name="FT-SAM", loss=self._loss, weight_decay=self.weight_decay)
        return repaired.eval()

    def _loss(self, model: nn.Module, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        """The loss at the worst point nearby; its gradient with respect to the weights is the gradient there."""
        named = dict(model.named_parameters())
        gradients = torch.autograd.grad(
            self._smoothed(logits(model, inputs), labels),
            list(named.values()),
            allow_unused=True,
            materialize_grads=True,
        )
        steps = ascent([value.detach() for value in named.values()], list(gradients), self.radius)
        moved = {name: value + step for (name, value), step in zip(named.items(), steps, strict=True)}
        # BatchNorm's statistics follow the batch once, at the weights themselves, and not nearby.
        statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
        return self._smoothed(logits(model, inputs, moved | statistics), labels)

    def _smoothed(self, answers: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(answers, labels, label_smoothing=self.label_smoothing)


def ascent(weights: list[Tensor], gradients: list[Tensor], radius: float) -> list[Tensor]:
    """``radius |w|^2 g / || |w| g ||``: the steepest way up within ``|| e / |w| || <= radius``."""
    scaled = [weight.abs() * gradient for weight, gradient in zip(weights, gradients, strict=True)]
    norm = torch.stack([value.norm() for value in scaled]).norm().clamp(min=1e-12)
    return [radius * weight.abs() * value / norm for weight, value in zip(weights, scaled, strict=True)]
