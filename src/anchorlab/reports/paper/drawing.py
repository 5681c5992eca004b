"""Figures for print: exactly as wide as a column, with text that stays text, as PDF and SVG files."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from anchorlab.files import write_atomically
from anchorlab.reports.drawing import STYLE

#: Points of every text at the width at which the figure is printed.
TEXT = 8.0

_PRINT = {
    **STYLE,
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
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}

#: Most ticks of the axis of a small panel, whose labels would touch otherwise.
_FEW = 3


@contextmanager
def printed_figure(stem: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of a size in inches, written as ``stem.pdf`` and ``stem.svg`` at the end; same data, same bytes."""
    # A box stands for a character that the font lacks.
    with matplotlib.style.context(["default", _PRINT]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure = Figure(figsize=(width, height))
        yield figure
        kinds: dict[str, dict[str, Any]] = {
            "pdf": {"Creator": "anchorlab", "Producer": None, "CreationDate": None},
            "svg": {"Creator": "anchorlab", "Date": None},
        }
        for kind, metadata in kinds.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=metadata)
            write_atomically(stem.with_name(f"{stem.name}.{kind}"), buffer.getvalue())


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
