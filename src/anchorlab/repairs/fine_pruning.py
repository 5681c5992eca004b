"""Fine-pruning: features that clean data leave quiet are pruned, then the rest is fine-tuned.

Liu, Dolan-Gavitt and Garg 2018, Fine-Pruning, RAID (arXiv 1805.12185): units that the backdoor uses are often dormant
on clean inputs. The paper prunes channels of the last convolution, in the order of their mean activation on clean
examples. In a residual network no channel of one convolution falls silent by that, because the shortcut goes past it.
So we prune the features that enter the last layer, which are the channels' means there, by their mean absolute value.
The defender's validation examples choose how many: as many as cost at most ``tolerance`` of the accuracy. The tuning
may cost as much again. The paper also watches a validation set of the defender. Published comparisons often let the
test set choose, as ``oracle-fine-pruning`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data import Split
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.models.call import track_statistics
from anchorlab.models.device import exact_arithmetic, in_double
from anchorlab.models.hooks import check_own_weights, features, last_layer
from anchorlab.repairs.pruning import Pruning
from anchorlab.repairs.tuning import Schedule, tune
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FinePruning(Schedule, Pruning):
    """Prunes quiet features before the last layer, then fine-tunes."""

    cites: ClassVar[tuple[str, ...]] = ("liu2018fine",)
    needs: ClassVar[str] = "a linear layer that gives the logits, from one vector an input"
    stability_grid: ClassVar[Mapping[str, tuple[Any, ...]]] = {"tolerance": (0.01, 0.05), "learning_rate": (3e-4, 3e-3)}

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        check_own_weights(model, [last_layer(model, inputs)])
        features(model, inputs)

    def plan(
        self, model: nn.Module, data: DefenderData, context: DefenderContext
    ) -> tuple[Sequence[int], Callable[[int], None]]:
        """See ``Pruning``; a depth is a number of features."""
        del context
        last = last_layer(model, data.train.inputs)
        check_own_weights(model, [last])
        order = features(model, data.train.inputs)[0].abs().mean(dim=0).argsort()

        def prune(depth: int) -> None:
            with torch.no_grad():
                last.weight[:, order[:depth]] = 0

        return range(1, len(order)), prune

    def accuracies(
        self, model: nn.Module, depths: Sequence[int], prune: Callable[[int], None], examples: Split
    ) -> Generator[tuple[int | None, float]]:
        """See ``Pruning``. Only the last layer differs, so that the features before it are computed once."""
        last = last_layer(model, examples.inputs)
        entering = features(model, examples.inputs)[0].to(last.weight.dtype)
        before = last.weight.detach().clone()
        with torch.no_grad(), exact_arithmetic(entering.device):
            for depth in (None, *depths):
                try:
                    if depth is not None:
                        prune(depth)
                    yield depth, in_double(last(entering).argmax(1) == examples.labels).mean().item()
                finally:
                    last.weight.copy_(before)

    def finish(
        self, model: nn.Module, prune: Callable[[], None], data: DefenderData, context: DefenderContext
    ) -> nn.Module:
        """Tunes the pruned model."""
        track_statistics(model)
        tune(model, data, self, context, name="fine-pruning", after_step=lambda _: prune())
        return model.eval()
