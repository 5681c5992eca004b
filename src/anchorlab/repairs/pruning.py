"""Repairs that prune to a depth. The defender's validation examples choose the depth.

Published comparisons often let accuracy and attack success on the test set choose it. No defender can do that. The
oracle form of a repair, ``oracle-NAME``, measures what it would gain: somebody who scores repairs chooses the depth.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from typing import Any

from pydantic.dataclasses import dataclass
from torch import nn

from anchorlab.data import Split
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.models.call import accuracy
from anchorlab.repairs.base import Repair
from anchorlab.repairs.stopping import Tolerance, in_words, lowest_accuracy
from anchorlab.repairs.tuning import copied
from anchorlab.settings import STRICT

#: Pairs of a depth and the model pruned to it, from shallow to deep. Before them, None and the model as it is.
PrunedModels = Iterable[tuple[Any | None, nn.Module]]

#: Chooses a depth, or None for no pruning, among pruned models; it may cost a tolerance of the accuracy, see
#: ``lowest_accuracy``.
DepthChooser = Callable[[PrunedModels, float | None], Any | None]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Pruning(Repair):
    """Base of the repairs that prune to a depth."""

    tolerance: Tolerance = None

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        pruned = copied(model)
        depths, prune = self.plan(pruned, data, context)
        with closing(self.accuracies(pruned, depths, prune, data.validation)) as known:
            depth = deepest(known, self.tolerance, len(data.validation))
        return self._finished(pruned, depth, prune, data, context)

    def repair_to_depth(
        self, model: nn.Module, data: DefenderData, context: DefenderContext, choose_depth: DepthChooser
    ) -> nn.Module:
        """Like ``repair``, to a depth that ``choose_depth`` chooses, which may know more than any defender."""
        pruned = copied(model)
        depths, prune = self.plan(pruned, data, context)
        with closing(pruned_models(pruned, depths, prune)) as models:
            depth = choose_depth(models, self.tolerance)
        return self._finished(pruned, depth, prune, data, context)

    def _finished(
        self,
        pruned: nn.Module,
        depth: Any | None,
        prune: Callable[[Any], None],
        data: DefenderData,
        context: DefenderContext,
    ) -> nn.Module:
        if depth is None:
            context.notes.append(
                f"nothing was pruned, because no depth costs at most {in_words(self.tolerance)} of the accuracy, or "
                "none helps"
            )

        def prune_to_depth() -> None:
            if depth is not None:
                prune(depth)

        prune_to_depth()
        return self.finish(pruned, prune_to_depth, data, context)

    def accuracies(
        self, model: nn.Module, depths: Sequence[Any], prune: Callable[[Any], None], examples: Split
    ) -> Generator[tuple[Any | None, float]]:
        """The accuracy on examples, of the model as it is and then at each depth; it has its own weights in the end."""
        with closing(pruned_models(model, depths, prune)) as models:
            for depth, pruned in models:
                yield depth, accuracy(pruned, examples)

    def plan(
        self, model: nn.Module, data: DefenderData, context: DefenderContext
    ) -> tuple[Sequence[Any], Callable[[Any], None]]:
        """The depths, from shallow to deep, and a function that prunes the model to one of them, in place.

        Arguments and errors are as in ``Repair.repair``; the model is left as it is.
        """
        raise NotImplementedError

    def finish(
        self, model: nn.Module, prune: Callable[[], None], data: DefenderData, context: DefenderContext
    ) -> nn.Module:
        """The steps after the pruning, for example tuning; after each tuning step ``prune`` prunes again."""
        del prune, data, context
        return model


def pruned_models(
    model: nn.Module, depths: Sequence[Any], prune: Callable[[Any], None]
) -> Generator[tuple[Any | None, nn.Module]]:
    """See ``PrunedModels``. All pairs hold the same module; it has its own weights again in the end."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    yield None, model
    for depth in depths:
        try:
            prune(depth)
            yield depth, model
        finally:  # whoever chooses may stop early
            model.load_state_dict(before)


def deepest(accuracies: Iterable[tuple[Any | None, float]], tolerance: float | None, count: int) -> Any | None:
    """The deepest depth that costs at most ``tolerance`` of the accuracy on so many examples; None if all cost more."""
    lowest, chosen = 0.0, None
    for depth, present in accuracies:
        if depth is None:
            lowest = lowest_accuracy(present, count, tolerance)
        elif present >= lowest:
            chosen = depth
    return chosen
