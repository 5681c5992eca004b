"""Curvature of the clean loss along each perturbation, beside the Hessian's eigenvalues."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from anchorlab.reports.analysis.figures.figure import AnalysisFigure, Looks, Tables, bar
from anchorlab.reports.drawing import marker_style, shorten, written_figure


def _draw(tables: Tables, look: Looks, stem: Path) -> None:
    rayleigh, spectrum = tables["rayleigh"], tables["spectrum"]
    with written_figure(stem, 7.2, 1.4 + 0.34 * len(rayleigh)) as figure:
        axis = figure.subplots()
        for y, row in enumerate(rayleigh.to_dict("records")):
            drawn = look[str(row["candidate"])]
            axis.errorbar(row["rayleigh"], y, xerr=bar(row, "rayleigh"), elinewidth=1, **marker_style(drawn))
        values = dict(zip(spectrum["quantity"], spectrum["value"], strict=True)) if len(spectrum) else {}
        for name, words, line in (("mean eigenvalue", "mean", ":"), ("eigenvalue 1", "largest", "--")):
            if name in values:
                axis.axvline(values[name], color="#777777", linewidth=1, linestyle=line, label=f"{words} eigenvalue")
        ends = pd.concat([rayleigh["rayleigh"], pd.Series(list(values.values()), dtype=float)]).abs()
        axis.set_xscale("symlog", linthresh=max(float(ends[ends > 0].min()) if (ends > 0).any() else 1e-6, 1e-9))
        axis.set_yticks(range(len(rayleigh)), [shorten(str(name), 24) for name in rayleigh["candidate"]])
        axis.set(ylim=(len(rayleigh) - 0.5, -0.5), xlabel="curvature (nats per squared unit of weight)")
        if values:
            axis.legend(loc="best", fontsize=8)


CURVATURE = AnalysisFigure(
    name="curvature",
    table="rayleigh",
    caption="Curvature of the clean loss along each perturbation, with 95% intervals, beside the mean and the largest "
    "eigenvalue of its Hessian.",
    draw=_draw,
)
