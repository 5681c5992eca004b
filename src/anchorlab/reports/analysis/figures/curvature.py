"""Curvature of the clean loss along each perturbation, beside the Hessian's eigenvalues."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from anchorlab.reports.analysis.figures.figure import AnalysisFigure, Looks, Tables, bar
from anchorlab.reports.drawing import Sheet, marker_style, shorten, written_figure
from anchorlab.reports.looks import RULE
from anchorlab.reports.suite.axes import bar_style


def _draw(tables: Tables, look: Looks, stem: Path, sheet: Sheet) -> None:
    rayleigh, spectrum = tables["rayleigh"], tables["spectrum"]
    values = dict(zip(spectrum["quantity"], spectrum["value"], strict=True)) if len(spectrum) else {}
    lines = {"mean eigenvalue": ("mean eigenvalue", ":"), "eigenvalue 1": ("largest eigenvalue", "--")}
    style: dict[str, Any] = {"color": RULE, "linewidth": 1}
    legend = [(Line2D([], [], linestyle=line, **style), words) for key, (words, line) in lines.items() if key in values]
    height = 0.7 + 0.26 * len(rayleigh)
    note = "Curvature in nats per squared unit of weight, with 95% intervals over examples; linear near 0."
    title = _finding(rayleigh, values)
    with written_figure(stem, sheet.width, height, sheet, title=title, note=note, legend=legend) as figure:
        axis = figure.subplots()
        for y, row in enumerate(rayleigh.to_dict("records")):
            drawn = look[str(row["candidate"])]
            axis.plot(row["rayleigh"], y - 0.12, **marker_style(drawn) | {"markersize": 5})
            axis.errorbar(row["rayleigh"], y + 0.2, xerr=bar(row, "rayleigh"), **bar_style(drawn))
        for key, (_, line) in lines.items():
            if key in values:
                axis.axvline(values[key], linestyle=line, **style)
        ends = pd.concat([rayleigh["rayleigh"], pd.Series(list(values.values()), dtype=float)]).abs()
        small = max(float(ends[ends > 0].min()) if (ends > 0).any() else 1e-6, 1e-9)
        axis.set_xscale("symlog", linthresh=small)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        if len(axis.get_xticks()) > sheet.width:
            axis.set_xticks(axis.get_xticks()[:: max(1, int(len(axis.get_xticks()) / sheet.width + 1))])
        axis.set_yticks(range(len(rayleigh)), [shorten(str(name), 22) for name in rayleigh["candidate"]])
        axis.set(ylim=(len(rayleigh) - 0.5, -0.5), xlabel="curvature")
        axis.grid(False, axis="y")


def _finding(rayleigh: pd.DataFrame, values: Mapping[str, float]) -> str:
    known = rayleigh.dropna(subset=["rayleigh"])
    if not len(known):
        return ""
    most = known.iloc[int(known["rayleigh"].argmax())]
    words = f"The curvature is largest along {shorten(str(most['candidate']), 24)}: {most['rayleigh']:.3g}"
    largest = values.get("eigenvalue 1", 0.0)
    return words if largest <= 0 else f"{words}, {100 * most['rayleigh'] / largest:.2g}% of the largest eigenvalue"


CURVATURE = AnalysisFigure(
    name="curvature",
    table="rayleigh",
    caption="Curvature of the clean loss along each perturbation, with 95% intervals, beside the mean and the largest "
    "eigenvalue of its Hessian.",
    draw=_draw,
)
