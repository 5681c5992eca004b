"""Angles between the gradients of the objectives along each injection."""

from __future__ import annotations

from pathlib import Path

from matplotlib.ticker import MaxNLocator

from anchorlab.reports.analysis.figures.figure import AnalysisFigure, Looks, Tables, draw_legend
from anchorlab.reports.drawing import marker_style, written_figure


def _draw(tables: Tables, look: Looks, stem: Path) -> None:
    gradients = tables["gradients"]
    titles = {"cosine_clean": "with the clean loss's", "cosine_anchor": "with the anchor loss's"}
    with written_figure(stem, 9, 3.6) as figure:
        axes = figure.subplots(1, 2, sharey=True)
        for axis, (name, title) in zip(axes, titles.items(), strict=True):
            for candidate, run in gradients.groupby("candidate", sort=False):
                drawn = look[str(candidate)]
                style = marker_style(drawn) | {"markersize": 3, "linestyle": drawn.line, "linewidth": 0.8}
                # Steps as a share of the run, because methods take different numbers of them.
                axis.plot(run["step"] / max(int(run["step"].max()), 1), run[name], **style)
            axis.axhline(0, color="#777777", linewidth=0.8)
            axis.set(title=title, xlabel="share of the steps")
            axis.xaxis.set_major_locator(MaxNLocator(5))
        axes[0].set_ylabel("cosine of the backdoor loss's gradient")
        draw_legend(figure, look, gradients["candidate"])


GRADIENTS = AnalysisFigure(
    name="gradients",
    table="gradients",
    caption="Cosine of the gradient of the backdoor loss with the gradients of the clean loss and of the anchor loss, "
    "along each injection.",
    draw=_draw,
)
