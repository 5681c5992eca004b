"""MCR: a point on a curve of low clean loss between the model and a fine-tuned copy of it.

Zhao et al. 2020, Bridging Mode Connectivity in Loss Landscapes and Adversarial Robustness, ICLR (arXiv 2005.00060). The
quadratic Bezier curve ``(1 - t)^2 w_0 + 2 t (1 - t) w + t^2 w_1`` joins the model and its fine-tuned form; its middle
``w`` is trained so that the clean loss is low along all of it (Garipov et al. 2018, arXiv 1802.10026). It begins midway
between the ends, as in the published code, so that the curve begins as a straight line. Points well inside keep the
accuracy and often lose the backdoor. We take the point nearest to the curve's middle that costs at most ``tolerance``
of the accuracy on the defender's validation examples, and estimate BatchNorm's statistics again there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.models.call import accuracy, logits, track_statistics
from anchorlab.models.reestimation import reestimated
from anchorlab.repairs.base import Repair
from anchorlab.repairs.fine_tuning import FineTuning
from anchorlab.repairs.stopping import lowest_accuracy
from anchorlab.repairs.tuning import Schedule, copied, tune
from anchorlab.settings import LARGEST_REPETITION, STRICT

Weights = dict[str, Tensor]

#: Points of the curve among which one is chosen: the middle first, which is farthest from both ends.
_POINTS = (0.5, 0.4, 0.6, 0.3, 0.7)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModeConnectivity(Schedule, Repair):
    """Walks along a curve of low clean loss."""

    cites: ClassVar[tuple[str, ...]] = ("zhao2020bridging",)
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {"epochs": (20, 80), "learning_rate": (3e-4, 3e-3)}

    epochs: int = Field(
        default=40, ge=1, le=LARGEST_REPETITION, description="passes over the defender's examples for the curve"
    )

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``: the tuning of the far end, and of the curve."""
        return (FineTuning().epochs + self.epochs) * examples

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        tuning = FineTuning(
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            tolerance=self.tolerance,
            augment=self.augment,
        )
        ends = [_weights(model), _weights(tuning.repair(model, data, context))]
        middle = track_statistics(copied(model))
        with torch.no_grad():
            for name, parameter in middle.named_parameters():
                parameter.copy_((ends[0][name] + ends[1][name]) / 2)
        draw = context.generator("curve")

        def loss(curve: nn.Module, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
            t = float(torch.rand((), generator=draw))
            weights = bezier(ends[0], dict(curve.named_parameters()), ends[1], t)
            return functional.cross_entropy(logits(curve, inputs, weights), labels)

        # The curve's control point lies off the curve, so that its accuracy means nothing.
        tune(middle, data, self, context, name="MCR", loss=loss, guarded=False)
        lowest = lowest_accuracy(accuracy(model, data.validation), len(data.validation), self.tolerance)
        points = [self._point(middle, ends, t, data) for t in _POINTS]
        accuracies = [accuracy(point, data.validation) for point in points]
        accurate = [index for index, value in enumerate(accuracies) if value >= lowest]
        if not accurate:
            context.notes.append(
                "MCR took the most accurate point of the curve, because all cost more of the accuracy on the held-back "
                "part than they may"
            )
        return points[accurate[0] if accurate else accuracies.index(max(accuracies))]

    def _point(self, middle: nn.Module, ends: list[Weights], t: float, data: DefenderData) -> nn.Module:
        point = copied(middle)
        weights = bezier(ends[0], _weights(middle), ends[1], t)
        with torch.no_grad():
            for name, parameter in point.named_parameters():
                parameter.copy_(weights[name])
        return reestimated(point, data.train.inputs)


def bezier(start: Weights, middle: Weights, end: Weights, t: float) -> Weights:
    """A point of the quadratic Bezier curve, ``t`` from 0 to 1."""
    return {
        name: (1 - t) ** 2 * start[name] + 2 * t * (1 - t) * value + t**2 * end[name] for name, value in middle.items()
    }


def _weights(model: nn.Module) -> Weights:
    return {name: value.detach() for name, value in model.named_parameters()}
