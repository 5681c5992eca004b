"""Figures for print: exactly as wide as a column, with text that stays text, as PDF and SVG files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from anchorlab.reports.drawing import styled, write_figure

#: Points of every text at the width at which the figure is printed.
TEXT = 8.0

#: What print has besides the style of every figure.
_PRINT = {
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "xtick.labelsize": TEXT,
    "ytick.labelsize": TEXT,
    "legend.fontsize": TEXT,
    "figure.labelsize": TEXT,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "grid.linewidth": 0.4,
    "figure.constrained_layout.h_pad": 0.02,
    "figure.constrained_layout.w_pad": 0.02,
}

#: Most ticks of the axis of a small panel, whose labels would touch otherwise.
_FEW = 3


@contextmanager
def printed_figure(stem: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of a size in inches, written as ``stem.pdf`` and ``stem.svg`` at the end; same data, same bytes."""
    with styled(_PRINT):
        figure = Figure(figsize=(width, height))
        yield figure
        write_figure(figure, stem, ("pdf", "svg"))


def few_ticks(axis: Any, which: str, low: float, high: float, *, logarithmic: bool, most: int = _FEW) -> None:
    """Limits of an axis, and so few ticks that their labels do not touch."""
    axis.set(**{f"{which}scale": "log" if logarithmic else "linear", f"{which}lim": (low, high)})
    ticks = getattr(axis, f"{which}axis")
    if logarithmic:
        ticks.set_major_locator(FixedLocator(_logarithmic_ticks(low, high, most)))
    else:
        ticks.set_major_locator(MaxNLocator(nbins=most, min_n_ticks=2))
    ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
    ticks.set_minor_locator(NullLocator())


def _logarithmic_ticks(low: float, high: float, most: int) -> list[float]:
    """Powers of ten between the limits, or with 2 and 5 where there are fewer than two; thinned to ``most``."""
    ends = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        every = [factor * 10.0**power for power in range(ends[0], ends[1] + 1) for factor in factors]
        within = [float(f"{value:.3g}") for value in every if low <= value <= high]
        if len(within) >= 2:
            return within[:: -(-len(within) // most)]
    return within
