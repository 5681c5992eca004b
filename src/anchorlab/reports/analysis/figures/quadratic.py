"""KL as the quadratic picture predicts it, against the measured KL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from anchorlab.reports.analysis.figures.figure import AnalysisFigure, Looks, Tables, bar, draw_legend
from anchorlab.reports.drawing import logarithmic_axis, marker_style, written_figure


def _draw(tables: Tables, look: Looks, stem: Path) -> None:
    quadratic = tables["quadratic"]
    positive = quadratic[(quadratic[["kl", "kl_quadratic"]] > 0).all(axis=1)]
    with written_figure(stem, 7.2, 4.6) as figure:
        axis = figure.subplots()
        ends = [positive[name] for name in ("kl", "kl_quadratic", "ewc")] if len(positive) else [pd.Series([0.1, 1.0])]
        values = pd.concat(ends)
        low, high = float(values[values > 0].min()) / 2, float(values.max()) * 2
        axis.plot([low, high], [low, high], color="#777777", linewidth=0.8)
        for row in positive.to_dict("records"):
            drawn = look[str(row["candidate"])]
            for name, hollow in (("kl_quadratic", False), ("ewc", True)):
                if row[name] > 0:
                    bars: dict[str, Any] = {"xerr": bar(row, "kl"), "yerr": bar(row, name), "elinewidth": 0.8}
                    style = marker_style(drawn) | ({"markerfacecolor": "white"} if hollow else {})
                    axis.errorbar(row["kl"], row[name], **bars, **style)
        logarithmic_axis(axis, "x", low, high)
        logarithmic_axis(axis, "y", low, high)
        axis.set(xlabel="measured KL of the weights alone (nats)", ylabel="predicted (nats)")
        draw_legend(figure, look, quadratic["candidate"])


QUADRATIC = AnalysisFigure(
    name="quadratic",
    table="quadratic",
    caption="KL as the quadratic picture predicts it (filled) and as EWC's diagonal sees it (hollow), against the "
    "measured KL of the weights alone, with 95% intervals; line: equal.",
    draw=_draw,
)
