"""Pruning to a depth that is chosen: by the defender's held-back examples, or, in an oracle's form, by the test data.

Published comparisons often let accuracy and attack success on the test set choose the depth. No defender can do that;
what it would come to is the repair's oracle form, ``oracle-NAME``, whose judge somebody who scores repairs provides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import Field
from pydantic.dataclasses import dataclass as checked
from torch import nn

from anchorlab.data import Split
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.models.call import accuracy
from anchorlab.repairs.base import Repair
from anchorlab.repairs.tuning import at_least
from anchorlab.settings import STRICT


@dataclass(frozen=True)
class Prunable:
    """A model that can be pruned to several depths.

    Attributes:
        model: the copy that is pruned, in place.
        depths: from shallow to deep.
        prune: prunes the model to a depth.
        finish: makes the repaired model of the untouched one, pruned to a depth; None for not at all.
    """

    model: nn.Module
    depths: Sequence[Any]
    prune: Callable[[Any], object]
    finish: Callable[[Any | None], nn.Module]

    @contextmanager
    def tried(self, depth: Any) -> Iterator[nn.Module]:
        """The model pruned to a depth, and untouched again afterwards."""
        before = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.prune(depth)
        yield self.model
        self.model.load_state_dict(before)


class Judged(NamedTuple):
    """What a judge says of a model."""

    accuracy: float
    asr: float


Judge = Callable[[nn.Module], Judged]


@checked(frozen=True, kw_only=True, config=STRICT)
class Pruning(Repair):
    """Base of the repairs that prune to a depth."""

    tolerance: float = Field(default=0.02, ge=0, lt=1, description="accuracy on the held-back part given up for it")

    def repair(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """See ``Repair``."""
        prunable = self.prunable(model, data, context)
        return prunable.finish(deepest(prunable, data.validation, self.tolerance))

    def repair_by(self, judge: Judge, model: nn.Module, data: DefenderData, context: DefenderContext) -> nn.Module:
        """The oracle's form: ``repair``, but with a depth that a judge chooses."""
        prunable = self.prunable(model, data, context)
        return prunable.finish(least_attack(prunable, judge, self.tolerance))

    def prunable(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> Prunable:
        """A copy of the model that can be pruned; arguments and errors as of ``Repair.repair``."""
        raise NotImplementedError


def deepest(prunable: Prunable, held: Split, tolerance: float) -> Any | None:
    """The deepest that costs at most ``tolerance`` of the accuracy on held-back examples; None if all cost more."""
    least, chosen = at_least(accuracy(prunable.model, held), tolerance), None
    for depth in prunable.depths:
        with prunable.tried(depth) as pruned:
            chosen = depth if accuracy(pruned, held) >= least else chosen
    return chosen


def least_attack(prunable: Prunable, judge: Judge, tolerance: float) -> Any | None:
    """The depth of least attack success among those that cost at most ``tolerance`` of the accuracy, by a judge."""
    before = judge(prunable.model)
    chosen, lowest = None, before.asr
    for depth in prunable.depths:
        with prunable.tried(depth) as pruned:
            found = judge(pruned)
        if found.accuracy >= at_least(before.accuracy, tolerance) and found.asr < lowest:
            chosen, lowest = depth, found.asr
    return chosen
