"""Angles between the perturbations."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anchorlab.reports.analysis.figures.figure import AnalysisFigure, Looks, Tables
from anchorlab.reports.drawing import shorten, written_figure


def _draw(tables: Tables, _look: Looks, stem: Path) -> None:
    angles = tables["angles"]
    names = list(dict.fromkeys(angles["candidate"]))
    matrix = angles.pivot_table(index="candidate", columns="other", values="degrees").reindex(names)[names].to_numpy()
    with written_figure(stem, 2.6 + 0.62 * len(names), 1.8 + 0.55 * len(names)) as figure:
        axis = figure.subplots()
        axis.imshow(np.nan_to_num(matrix), cmap="viridis", vmin=0, vmax=120)
        for (i, j), value in np.ndenumerate(matrix):
            if i != j and np.isfinite(value):
                axis.text(j, i, f"{value:.0f}", ha="center", va="center", color="white" if value < 75 else "black")
        short = [shorten(name, 20) for name in names]
        axis.set_xticks(range(len(names)), short, rotation=45, ha="right")
        axis.set_yticks(range(len(names)), short)
        axis.grid(False)


ANGLES = AnalysisFigure(name="angles", table="angles", caption="Angles between the perturbations, degrees.", draw=_draw)
