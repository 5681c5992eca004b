"""How large the perturbation of each layer is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from anchorlab.perturbation.tables.sizes import BUFFERS, WHOLE
from anchorlab.reports.analysis.figures.figure import AnalysisFigure, Looks, Tables, legend_of
from anchorlab.reports.drawing import Sheet, logarithmic_axis, marker_style, shorten, written_figure
from anchorlab.reports.lettering import in_lines, widest
from anchorlab.reports.looks import GRID

#: Layers that are drawn at most.
_MOST = 40


def _draw(tables: Tables, look: Looks, stem: Path, sheet: Sheet) -> None:
    sizes = tables["sizes"]
    inner = sizes[~sizes["layer"].isin([WHOLE, BUFFERS])].assign(relative=sizes["relative"].astype(float))
    every = list(dict.fromkeys(inner["layer"]))
    largest = inner.groupby("layer")["relative"].max().nlargest(_MOST).index
    layers = [layer for layer in every if layer in set(largest)]
    labels = layer_labels(layers, 0.45 * sheet.width, sheet.font)
    note = "Lengths are L2 norms; from the input at the top to the output."
    if len(layers) < len(every):
        note += f" The {len(layers)} of {len(every)} layers that changed most."
    legend = legend_of(look, inner["candidate"], line=False)
    height = 0.6 + len(layers) * 1.55 * sheet.font / 72
    title = _finding(inner)
    with written_figure(stem, sheet.width, height, sheet, title=title, note=note, legend=legend) as figure:
        axis = figure.subplots()
        for row in range(len(layers)):
            axis.axhline(row, color=GRID, linewidth=0.6)
        for candidate, table in inner.groupby("candidate", sort=False):
            relative = table.drop_duplicates("layer").set_index("layer")["relative"].reindex(layers)
            style = marker_style(look[str(candidate)]) | {"markersize": 4.5, "alpha": 0.85}
            axis.plot(relative.where(relative > 0), range(len(layers)), **style)
        shown = inner["relative"][inner["layer"].isin(layers) & (inner["relative"] > 0)]
        if len(shown):
            logarithmic_axis(axis, "x", float(shown.min()) / 1.4, float(shown.max()) * 1.4)
        axis.set_yticks(range(len(layers)), labels)
        words = "length of the perturbation / length of the weights"
        axis.set(ylim=(len(layers) - 0.4, -0.6), xlabel=in_lines(words, 0.45 * sheet.width, sheet.font))
        axis.grid(False, axis="y")


def _finding(inner: pd.DataFrame) -> str:
    known = inner.dropna(subset=["relative"])
    if not len(known):
        return ""
    most = known.iloc[int(known["relative"].argmax())]
    return (
        f"The largest relative change is {100 * most['relative']:.3g}%: of {shorten(str(most['layer']), 60)} "
        f"in {shorten(str(most['candidate']), 24)}"
    )


def layer_labels(names: Sequence[str], width: float, points: float) -> list[str]:
    """Names of layers that fit into ``width`` inches, no two alike.

    What most begin with is left out; then words are shortened and numbers kept, as in ``stag.0.laye.1.conv``.
    """
    parts = _without_beginnings([name.split(".") for name in names])
    for length in (99, 8, 6, 5, 4, 3, 2, 1):
        labels = [".".join(word[:length] if word.isalpha() else word for word in part) for part in parts]
        if len(set(labels)) == len(set(names)) and widest(labels, points) <= width:
            return [shorten(label, 80) for label in labels]
    most = max(int(width / (0.65 * points / 72)) - 5, 6)
    return [f"{number}: {shorten(name[-most:], most)}" for number, name in enumerate(names, start=1)]


def _without_beginnings(parts: list[list[str]]) -> list[list[str]]:
    """Names in parts, without the words that most of them begin with, as long as all names stay different."""
    while True:
        first = Counter(part[0] for part in parts if len(part) > 1 and not part[1].isdigit())
        word, count = first.most_common(1)[0] if first else ("", 0)
        shorter = [part[1:] if len(part) > 1 and part[0] == word else part for part in parts]
        if 2 * count <= len(parts) or len({tuple(part) for part in shorter}) < len({tuple(part) for part in parts}):
            return parts
        parts = shorter


LAYERS = AnalysisFigure(
    name="layers",
    table="sizes",
    caption="The perturbation of each layer relative to the reference's weights of that layer.",
    draw=_draw,
)
