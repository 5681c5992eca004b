"""The power curve of an audit as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from anchorlab.reports.drawing import WIDE, Sheet, logarithmic_axis, shorten, written_figure
from anchorlab.reports.looks import RULE, SERIES

#: Colour and line of each kind of access.
_LINES = dict(zip(("labels", "probabilities", "logits"), SERIES, strict=False))
#: The power that is enough.
_ENOUGH = 0.95


def draw_power_curves(panels: Mapping[str, pd.DataFrame], stem: Path, sheet: Sheet = WIDE, *, note: str = "") -> None:
    """Draws the power of an audit by its number of queries: a panel for each candidate, a line for each access.

    Args:
        panels: candidate to ``queries``, ``access`` and ``power``, and ``level`` of the test.
        stem: the files to write, less their endings.
        sheet: what it is drawn on.
        note: what a reader of this figure must know besides.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    across = sheet.across(len(panels), 2.8)
    down = -(-len(panels) // across)
    seen = [access for access in _LINES if any((power["access"] == access).any() for power in panels.values())]
    styles: dict[str, dict[str, Any]] = {
        access: {"color": _LINES[access][0], "linestyle": _LINES[access][2], "linewidth": 1.5} for access in seen
    }
    legend = [(Line2D([], [], **styles[access]), f"access: {access}") for access in seen]
    words = f"Dotted: a power of {_ENOUGH}. {note}".strip()
    title = _finding(panels)
    with written_figure(stem, sheet.width, 2.1 * down, sheet, title=title, note=words, legend=legend) as figure:
        # The last number of an axis and the first of the next stand apart.
        axes = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False, gridspec_kw={"wspace": 0.08})
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        for (name, power), axis in zip(panels.items(), axes.flat, strict=False):
            for access, curve in power.groupby("access", sort=False):
                axis.plot(curve["queries"], curve["power"], **styles[str(access)])
            axis.axhline(_ENOUGH, color=RULE, linewidth=0.8, linestyle=":")
            axis.set(title=shorten(name, 28), ylim=(-0.02, 1.02))
        longest = max(float(power["queries"].max()) for power in panels.values())
        logarithmic_axis(axes[0, 0], "x", 1, max(longest, 10))
        level = max(float(power["level"].max()) for power in panels.values())
        for line in axes:
            line[0].set_ylabel(f"power at level {level:.2g}")
        for axis in axes[-1]:
            axis.set_xlabel("clean queries")


def _finding(panels: Mapping[str, pd.DataFrame]) -> str:
    """Who is found with the fewest queries, and by which access."""
    enough = [
        (int(curve["queries"][curve["power"] >= _ENOUGH].min()), name, str(access))
        for name, power in panels.items()
        for access, curve in power.groupby("access", sort=False)
        if (curve["power"] >= _ENOUGH).any()
    ]
    if not enough:
        return f"No number of queries that was tried reaches a power of {_ENOUGH}"
    queries, name, access = min(enough)
    return f"{shorten(name, 28)} needs the fewest queries for a power of {_ENOUGH}: {queries:,}, by {access}"
