"""How large the perturbation of each layer is."""

from __future__ import annotations

from pathlib import Path

from anchorlab.perturbation.tables.sizes import BUFFERS, WHOLE
from anchorlab.reports.analysis.figures.figure import AnalysisFigure, Looks, Tables, draw_legend
from anchorlab.reports.drawing import marker_style, shorten, written_figure


def _draw(tables: Tables, look: Looks, stem: Path) -> None:
    sizes = tables["sizes"]
    inner = sizes[~sizes["layer"].isin([WHOLE, BUFFERS])]
    layers = list(dict.fromkeys(inner["layer"]))
    with written_figure(stem, min(4 + 0.22 * len(layers), 13), 4.6) as figure:
        axis = figure.subplots()
        for candidate, table in inner.groupby("candidate", sort=False):
            relative = table.set_index("layer")["relative"].astype(float).reindex(layers)
            drawn = look[str(candidate)]
            style = marker_style(drawn) | {"markersize": 4, "linestyle": drawn.line, "linewidth": 0.7}
            axis.plot(range(len(layers)), relative.where(relative > 0), **style)
        step = -(-len(layers) // 40)
        labelled = range(0, len(layers), step)
        axis.set_xticks(labelled, [_short_layer(layers[i]) for i in labelled], rotation=90, fontsize=6.5)
        axis.set(yscale="log", ylabel="L2 of the perturbation / L2 of the weights")
        draw_legend(figure, look, inner["candidate"])


def _short_layer(name: str) -> str:
    """The end of a layer's name, which identifies it."""
    return shorten(name if len(name) <= 32 else f"…{name[-31:]}", 32)


LAYERS = AnalysisFigure(
    name="layers",
    table="sizes",
    caption="The perturbation of each layer relative to the reference's weights of that layer.",
    draw=_draw,
)
