"""Plots of results for notebooks: matplotlib figures that show themselves once, in one plain style.

The written figures of reports are drawn by ``anchorlab.reports``, which stands above the rooms that have results.
matplotlib is imported when a plot is drawn.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anchorlab.statistics.escaping import plotted
from anchorlab.statistics.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Okabe and Ito's colours, without yellow, which is too light on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = "oDsP^vX"

_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


@dataclass(frozen=True)
class Measured:
    """A row of a plot.

    Attributes:
        label: what was measured.
        estimate: its value, with an interval where it has one.
        runs: the values behind it, drawn as dots; none for a single measurement.
        kind: rows of one kind have one colour.
    """

    label: str
    estimate: Estimate
    runs: Sequence[float] = ()
    kind: int = 0


@contextmanager
def shown_figure(width: float, height: float) -> Iterator[Figure]:
    """A figure of a size in inches in our style, not the user's; a notebook shows it where it is a cell's result."""
    import matplotlib.style
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        """Shows itself without pyplot, which would show it a second time."""

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png", dpi=110)
            return buffer.getvalue()

    with matplotlib.style.context(["default", _STYLE]):
        yield ShownFigure(figsize=(width, height))


def plot_estimates(panels: Mapping[str, Sequence[Measured]], *, logarithmic: Sequence[str] = ()) -> Figure:
    """Values with their intervals, a row each, in panels below each other.

    Args:
        panels: what the horizontal axis shows, to the rows; a panel without a row that is defined is left out.
        logarithmic: the panels with a logarithmic axis, on which what is not above 0 cannot be drawn.
    """
    shown = {
        title: [row for row in rows if _can_be_drawn(row.estimate, title in logarithmic)]
        for title, rows in panels.items()
    }
    shown = {title: rows for title, rows in shown.items() if rows}
    heights = [len(rows) + 1.6 for rows in shown.values()] or [1.0]
    with shown_figure(6.0, 0.27 * sum(heights) + 0.1) as figure:
        if not shown:
            figure.text(0.5, 0.5, "nothing that is defined was measured", ha="center")
            return figure
        axes = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axis, (title, rows) in zip(axes, shown.items(), strict=True):
            if title in logarithmic:
                _make_logarithmic(axis)
            for place, row in enumerate(rows):
                draw_estimate(axis, place, row, logarithmic=title in logarithmic)
            axis.set_yticks(range(len(rows)), [plotted(row.label) for row in rows])
            axis.set(ylim=(len(rows) - 0.4, -0.6), xlabel=plotted(title))
    return figure


def draw_estimate(axis: Any, place: float, row: Measured, *, logarithmic: bool = False) -> None:
    """A value with its interval, and the runs behind it as dots below."""
    colour, marker = COLOURS[row.kind % len(COLOURS)], MARKERS[row.kind % len(MARKERS)]
    dots = [value for value in row.runs if math.isfinite(value) and (value > 0 or not logarithmic)]
    axis.plot(dots, [place + 0.27] * len(dots), ".", color=colour, alpha=0.6, markersize=4)
    value = row.estimate.value
    if value is None:
        return
    lower, upper = row.estimate.bounds or (value, value)
    down = max(value - lower, 0.0)
    down = min(down, value * (1 - 1e-9)) if logarithmic else down
    axis.errorbar(value, place, xerr=[[down], [max(upper - value, 0.0)]], color=colour, marker=marker, markersize=5)


def _make_logarithmic(axis: Any) -> None:
    """A logarithmic axis with plain numbers at its ticks."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _can_be_drawn(estimate: Estimate, logarithmic: bool) -> bool:
    value = estimate.value
    return value is not None and math.isfinite(value) and (value > 0 or not logarithmic)
