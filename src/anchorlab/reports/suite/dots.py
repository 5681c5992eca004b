"""Dots with intervals: rows of anything, a sign for each method, means over references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from anchorlab.reports.drawing import Look, marker_style, shorten
from anchorlab.reports.looks import GRID
from anchorlab.reports.suite.axes import bar_of, bar_style
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.references import ENOUGH_REFERENCES, mean_over_references


def has_intervals(runs: pd.DataFrame) -> bool:
    """Whether any method has enough references for an interval."""
    return int(runs.groupby("method")["reference_seed"].nunique().max()) >= ENOUGH_REFERENCES


def over_references(runs: pd.DataFrame) -> Estimate:
    """The mean over references of a share, with Student's interval if there are enough.

    Args:
        runs: ``reference_seed`` and ``value``, a row for each run.
    """
    return mean_over_references(runs["value"], runs["reference_seed"], "rate")


def draw_rows(
    axis: Any, rows: Sequence[Mapping[str, pd.DataFrame]], methods: Sequence[str], look: Mapping[str, Look]
) -> None:
    """Draws the mean and interval of each method in each row; each run where there are too few references.

    Args:
        axis: to draw on.
        rows: method to its runs, see ``over_references``.
        methods: in their order within a row.
        look: how each method is drawn.
    """
    for row, by_method in enumerate(rows):
        axis.axhline(row + 0.5, color=GRID, linewidth=0.6)
        for position, method in enumerate(methods):
            if method in by_method:
                _draw(axis, row + 0.8 * ((position + 0.5) / len(methods) - 0.5), by_method[method], look[method])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.grid(False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.locator_params(axis="x", nbins=5)


def _draw(axis: Any, place: float, runs: pd.DataFrame, look: Look) -> None:
    estimate = over_references(runs)
    if estimate.value is None:
        return
    axis.plot(estimate.value, place, **_sign(look), zorder=3, clip_on=False)
    if estimate.bounds is None:
        axis.plot(runs["value"], [place] * len(runs), **_sign(look) | {"markersize": 2.5, "alpha": 0.6})
    else:
        axis.errorbar(estimate.value, place, xerr=bar_of(estimate), **bar_style(look) | {"capsize": 1.8})


def legend_of_methods(methods: Sequence[str], look: Mapping[str, Look]) -> list[tuple[Line2D, str]]:
    """Sign and name of each method."""
    return [(Line2D([], [], **_sign(look[method])), method_title(method)) for method in methods]


def method_title(method: str) -> str:
    """The name of a method in a figure."""
    return "clean reference" if method == "reference" else shorten(method, 18)


def _sign(look: Look) -> dict[str, Any]:
    return marker_style(look) | {"markersize": 4.5, "markeredgewidth": 1.0}
