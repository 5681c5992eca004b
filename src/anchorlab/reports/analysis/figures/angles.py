"""Angles between the perturbations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from anchorlab.reports.analysis.figures.figure import AnalysisFigure, Looks, Tables
from anchorlab.reports.drawing import Sheet, shorten, written_figure
from anchorlab.reports.looks import ON_DARK, ON_LIGHT


def _draw(tables: Tables, _look: Looks, stem: Path, sheet: Sheet) -> None:
    angles = tables["angles"]
    names = list(dict.fromkeys(angles["candidate"]))
    matrix = angles.pivot_table(index="candidate", columns="other", values="degrees").reindex(names)[names].to_numpy()
    short = [shorten(name, 20 if sheet.width > 5 else 10) for name in names]
    room = sheet.label_width(short) + 0.9
    cell = min((sheet.width - room) / len(names), 0.62)
    width = min(room + cell * len(names) + 0.3, sheet.width)
    with written_figure(stem, width, cell * len(names) + 0.6 * room, sheet, title=_finding(angles)) as figure:
        axis = figure.subplots()
        shown = axis.imshow(np.ma.masked_invalid(matrix), cmap="viridis", vmin=0, vmax=120)
        for (i, j), value in np.ndenumerate(matrix):
            if i != j and np.isfinite(value):
                axis.text(j, i, f"{value:.0f}", ha="center", va="center", color=ON_DARK if value < 75 else ON_LIGHT)
        axis.set_xticks(range(len(names)), short, rotation=45, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(len(names)), short)
        axis.grid(False)
        figure.colorbar(shown, ax=axis, label="degrees", ticks=range(0, 121, 30), shrink=0.8)


def _finding(angles: pd.DataFrame) -> str:
    known = angles.dropna(subset=["degrees"])
    if not len(known):
        return ""
    low, high = (known.iloc[int(at)] for at in (known["degrees"].argmin(), known["degrees"].argmax()))
    pairs = [f"{shorten(row['candidate'], 20)} and {shorten(row['other'], 20)}" for row in (low, high)]
    if len(known) < 3:
        return f"The angle between {pairs[0]} is {low['degrees']:.0f}°"
    return f"Smallest angle: {pairs[0]}, {low['degrees']:.0f}°; largest: {pairs[1]}, {high['degrees']:.0f}°"


ANGLES = AnalysisFigure(name="angles", table="angles", caption="Angles between the perturbations, degrees.", draw=_draw)
