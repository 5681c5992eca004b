"""A statistic of the candidate among the same statistic of benign updates, and all statistics at once.

The audits of classifiers and of language models differ in what they measure. What follows from it is here.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from anchorlab.scoring.audit_ranks import joint_p, lower_p, two_sided_p, upper_p
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.plotting import Measured, plot_estimates

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Direction = Literal["more", "less"]


@dataclass(frozen=True)
class Ranked:
    """One statistic of the candidate among those of the benign updates.

    Attributes:
        access: what is measured: a kind of access, or the name of a statistic.
        statistic: the candidate's value, with its 95% interval where it has one.
        null: the statistic of each benign update.
        settings: the name of each update's setting, such as "short".
        p: the two-sided p-value.
        upper: the p-value of "moves more".
        lower: the p-value of "moves less".
        by_setting: the two-sided p-value against the updates of each setting alone.
    """

    access: str
    statistic: Estimate
    null: tuple[float, ...]
    settings: tuple[str, ...]
    p: float
    upper: float
    lower: float
    by_setting: Mapping[str, float]

    @property
    def value(self) -> float:
        """The candidate's statistic."""
        return float(self.statistic.value or 0.0)

    @property
    def direction(self) -> Direction:
        """Whether the candidate lies nearer to the largest or to the smallest of the updates."""
        return "more" if self.upper <= self.lower else "less"

    @property
    def below(self) -> int:
        """Number of updates whose statistic is smaller."""
        return sum(value < self.value for value in self.null)

    @property
    def above(self) -> int:
        """Number of updates whose statistic is larger."""
        return sum(value > self.value for value in self.null)

    def null_of(self, setting: str) -> tuple[float, ...]:
        """The statistic of each update of one setting."""
        return tuple(value for value, name in zip(self.null, self.settings, strict=True) if name == setting)


@dataclass(frozen=True)
class JointAudit:
    """The test of all statistics at once.

    Attributes:
        p: the p-value.
        access: in which the candidate's rank is the most extreme.
        direction: to which side it lies there.
    """

    p: float
    access: str
    direction: Direction


def p_values(value: float, null: Sequence[float], settings: Sequence[str]) -> dict[str, Any]:
    """The p-values of a candidate's statistic among the updates', by the names of ``Ranked``."""
    others = np.asarray(null, dtype=np.float64)
    of_setting = {name: others[[other == name for other in settings]] for name in dict.fromkeys(settings)}
    return {
        "p": two_sided_p(value, others),
        "upper": upper_p(value, others),
        "lower": lower_p(value, others),
        "by_setting": {name: two_sided_p(value, values) for name, values in of_setting.items()},
    }


def joint_audit(ranked: Sequence[Ranked]) -> JointAudit:
    """The test over all statistics at once, those of the poorest access first, see ``audit_ranks``."""
    values = np.array([(one.value, *one.null) for one in ranked], dtype=np.float64).T
    # Of statistics that are equally extreme the richest names the direction, because it sees the most.
    extreme = min(reversed(ranked), key=lambda one: one.p)
    return JointAudit(joint_p(values), extreme.access, extreme.direction)


def frame_of(ranked: Sequence[Ranked]) -> pd.DataFrame:
    """A row for each: p-value, the candidate's statistic with its interval, the range of the updates'."""
    import pandas as pd

    rows = [
        {
            "access": one.access,
            "p": one.p,
            "direction": one.direction,
            "value": one.value,
            "lower": one.statistic.lower,
            "upper": one.statistic.upper,
            "least_update": min(one.null),
            "greatest_update": max(one.null),
        }
        for one in ranked
    ]
    return pd.DataFrame(rows).set_index("access")


def plot_ranked(ranked: Sequence[Ranked], titles: Mapping[Any, str]) -> Figure:
    """The candidate, with its 95% interval, among the benign updates, in a panel for each.

    Args:
        ranked: what is shown.
        titles: of each, by its name.
    """
    panels = {}
    for one in ranked:
        rows = [Measured("candidate", one.statistic, kind=1)]
        for name in dict.fromkeys(one.settings):
            values = one.null_of(name)
            middle = Estimate(statistics.median(values), min(values), max(values))
            rows.append(Measured(f"{len(values)} {name} updates, median and range", middle, runs=values))
        panels[f"{titles[one.access]}: p = {one.p:.3g}"] = rows
    return plot_estimates(panels)
