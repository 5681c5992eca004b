"""KL as the quadratic picture predicts it, against the measured KL."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.lines import Line2D

from anchorlab.reports.analysis.figures.figure import AnalysisFigure, Looks, Tables, bar, legend_of
from anchorlab.reports.drawing import Sheet, logarithmic_axis, marker_style, written_figure
from anchorlab.reports.looks import PAPER, RULE
from anchorlab.reports.suite.axes import bar_style

_SIGNS = {"kl_quadratic": "filled: the Fisher norm's", "ewc": "hollow: EWC's diagonal's"}


def _draw(tables: Tables, look: Looks, stem: Path, sheet: Sheet) -> None:
    quadratic = tables["quadratic"]
    positive = quadratic[(quadratic[["kl", "kl_quadratic"]] > 0).all(axis=1)]
    faces = {"kl_quadratic": RULE, "ewc": PAPER}
    legend = legend_of(look, quadratic["candidate"], line=False)
    for name, words in _SIGNS.items():
        sign = Line2D([], [], marker="o", linestyle="none", color=RULE, markerfacecolor=faces[name])
        legend.append((sign, words))
    note = "Line: predicted as measured. Bars: 95% intervals over examples."
    side = min(sheet.width, 4.6)
    title = _finding(quadratic)
    with written_figure(stem, sheet.width, 0.8 * side, sheet, title=title, note=note, legend=legend) as figure:
        axis = figure.subplots()
        ends = [positive[name] for name in ("kl", "kl_quadratic", "ewc")] if len(positive) else [pd.Series([0.1, 1.0])]
        values = pd.concat(ends)
        low, high = float(values[values > 0].min()) / 2, float(values.max()) * 2
        axis.plot([low, high], [low, high], color=RULE, linewidth=0.8)
        for row in positive.to_dict("records"):
            drawn = look[str(row["candidate"])]
            for name in _SIGNS:
                if row[name] > 0:
                    style = marker_style(drawn) | ({"markerfacecolor": PAPER} if name == "ewc" else {})
                    axis.plot(row["kl"], row[name], **style | {"markersize": 5}, zorder=3)
                    axis.errorbar(row["kl"], row[name], xerr=bar(row, "kl"), yerr=bar(row, name), **bar_style(drawn))
        logarithmic_axis(axis, "x", low, high)
        logarithmic_axis(axis, "y", low, high)
        axis.set(xlabel="measured KL of the weights alone (nats)", ylabel="predicted KL (nats)")


def _finding(quadratic: pd.DataFrame) -> str:
    ratios = quadratic["kl_ratio"].dropna()
    if not len(ratios):
        return ""
    near = int(ratios.between(0.5, 2.0).sum())
    return f"The Fisher norm predicts KL within a factor of 2 for {near} of {len(ratios)} candidates"


QUADRATIC = AnalysisFigure(
    name="quadratic",
    table="quadratic",
    caption="KL as the quadratic picture predicts it (filled) and as EWC's diagonal sees it (hollow), against the "
    "measured KL of the weights alone, with 95% intervals; line: equal.",
    draw=_draw,
)
