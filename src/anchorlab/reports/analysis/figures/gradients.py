"""Angles between the gradients of the objectives along each injection."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.ticker import MaxNLocator

from anchorlab.reports.analysis.figures.figure import AnalysisFigure, Looks, Tables, legend_of
from anchorlab.reports.drawing import Sheet, marker_style, written_figure
from anchorlab.reports.looks import RULE


def _draw(tables: Tables, look: Looks, stem: Path, sheet: Sheet) -> None:
    gradients = tables["gradients"]
    titles = {"cosine_clean": "with the clean loss's", "cosine_anchor": "with the anchor loss's"}
    shown = [name for name in titles if gradients[name].notna().any()] or ["cosine_clean"]
    across = sheet.across(len(shown), 2.4)
    down = -(-len(shown) // across)
    legend, note = legend_of(look, gradients["candidate"]), "One run each; steps as a share of the run."
    title = _finding(gradients)
    with written_figure(stem, sheet.width, 2.5 * down, sheet, title=title, note=note, legend=legend) as figure:
        axes = figure.subplots(down, across, sharey=True, squeeze=False)
        for axis, name in zip(axes.flat, shown, strict=True):
            for candidate, run in gradients.groupby("candidate", sort=False):
                drawn = look[str(candidate)]
                style = marker_style(drawn) | {"markersize": 3.5, "linestyle": drawn.line, "linewidth": 0.8}
                # Steps as a share of the run, because methods take different numbers of them.
                axis.plot(run["step"] / max(int(run["step"].max()), 1), run[name], **style)
            axis.axhline(0, color=RULE, linewidth=0.8)
            axis.set(title=titles[name], xlabel="share of the steps")
            axis.xaxis.set_major_locator(MaxNLocator(5))
        for line in axes:
            line[0].set_ylabel("cosine of the gradient")


def _finding(gradients: pd.DataFrame) -> str:
    cosines = gradients["cosine_clean"].dropna()
    if not len(cosines):
        return ""
    share = (cosines < 0).mean()
    return f"The backdoor's gradient opposes the clean loss's in {100 * share:.0f}% of the recorded steps"


GRADIENTS = AnalysisFigure(
    name="gradients",
    table="gradients",
    caption="Cosine of the gradient of the backdoor loss with the gradients of the clean loss and of the anchor loss, "
    "along each injection.",
    draw=_draw,
)
