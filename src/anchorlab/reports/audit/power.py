"""The power curve of an audit as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from anchorlab.reports.drawing import logarithmic_axis, shorten, written_figure

#: Colour (Okabe and Ito's) and line of each kind of access.
_LINES = {"labels": ("#0072b2", "-"), "probabilities": ("#d55e00", "--"), "logits": ("#009e73", "-.")}


def draw_power_curves(panels: Mapping[str, pd.DataFrame], stem: Path) -> None:
    """Draws the power of an audit by its number of queries: a panel for each candidate, a line for each access.

    Args:
        panels: candidate to ``queries``, ``access`` and ``power``, and ``level`` of the test.
        stem: the files to write, less ``.png`` and ``.svg``.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    with written_figure(stem, 1.6 + 2.8 * len(panels), 2.8) as figure:
        axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for axis, (title, power) in zip(axes, panels.items(), strict=True):
            for access, curve in power.groupby("access", sort=False):
                colour, line = _LINES[str(access)]
                label = str(access) if axis is axes[0] else None
                axis.plot(curve["queries"], curve["power"], color=colour, linestyle=line, label=label)
            axis.axhline(0.95, color="#777777", linewidth=0.8, linestyle=":")
            axis.set(title=shorten(title, 28), xlabel="clean queries", ylim=(-0.02, 1.02))
        longest = max(float(power["queries"].max()) for power in panels.values())
        logarithmic_axis(axes[0], "x", 1, max(longest, 10))
        level = max(float(power["level"].max()) for power in panels.values())
        axes[0].set_ylabel(f"power at level {level:.2g}")
        figure.legend(loc="outside right upper", title="access")
