"""Still figures of repairs, as PNG and SVG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from anchorlab.reports.drawing import shorten, written_figure
from anchorlab.reports.suite.repairs import by_oracle
from anchorlab.statistics.intervals import student_mean


def draw_repairs(repairs: pd.DataFrame, stem: Path) -> None:
    """Attack success and accuracy by repair and method, means over runs, as coloured tables; oracles last.

    Args:
        repairs: of a suite, one task, trigger and number of the defender's examples.
        stem: the files to write, less ``.png`` and ``.svg``.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    methods = sorted(dict.fromkeys(repairs["method"]), key=lambda method: method == "reference")
    oracle = by_oracle(repairs)
    oracles = list(dict.fromkeys(repairs["defence"][oracle]))
    defences = ["no repair", *dict.fromkeys(repairs["defence"][~oracle]), *oracles]
    with written_figure(stem, 3.4 + 1.5 * len(methods), 1.4 + 0.36 * len(defences)) as figure:
        axes = figure.subplots(1, 2, sharey=True)
        for axis, name, title, colours in (
            (axes[0], "asr", "attack success rate", "Reds"),
            (axes[1], "accuracy", "accuracy", "Greens"),
        ):
            table = np.array([[_mean(repairs, defence, method, name) for method in methods] for defence in defences])
            low = 0.0 if name == "asr" else float(np.nanmin(table, initial=1.0))
            axis.imshow(table, cmap=colours, vmin=low, vmax=1, aspect="auto", alpha=0.8)
            for (row, column), value in np.ndenumerate(table):
                if np.isfinite(value):
                    dark = name == "asr" and value > 0.6
                    style = {"ha": "center", "va": "center", "fontsize": 8, "color": "white" if dark else "black"}
                    axis.text(column, row, f"{value:.3f}", **style)
            axis.set_xticks(range(len(methods)), [_method_title(method) for method in methods], rotation=30, ha="right")
            axis.set_title(title)
            if oracles:
                axis.axhline(len(defences) - len(oracles) - 0.5, color="black", linewidth=1.2)
            axis.grid(False)
        axes[0].set_yticks(range(len(defences)), [shorten(str(defence), 22) for defence in defences])


def _mean(repairs: pd.DataFrame, defence: str, method: str, name: str) -> float:
    of_method = repairs[repairs["method"] == method]
    runs = of_method if defence == "no repair" else of_method[of_method["defence"] == defence]
    column = f"{name}_before" if defence == "no repair" else name
    mean = student_mean(runs.drop_duplicates("identity")[column].tolist()).value
    return float("nan") if mean is None else mean


def _method_title(method: str) -> str:
    return "clean reference" if method == "reference" else shorten(method, 18)
