"""KL of each instance against the largest KL that the shift of its logits allows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from anchorlab.reports.analysis.figures.figure import AnalysisFigure, Looks, Tables
from anchorlab.reports.drawing import Sheet, logarithmic_axis, shorten, written_figure
from anchorlab.reports.looks import RULE, SOFT

#: Instances drawn in the whole figure: more make a file too large for a browser.
_MOST = 2400
#: KL below this, in nats, is counted and not drawn.
_LOWEST = 1e-8


def _draw(tables: Tables, look: Looks, stem: Path, sheet: Sheet) -> None:
    instances = tables["instances"].assign(allowed=tables["instances"]["range"] ** 2 / 8)
    names = list(dict.fromkeys(instances["candidate"]))
    across = sheet.across(len(names), 2.2)
    down = -(-len(names) // across)
    positive = (instances["kl"] > _LOWEST) & (instances["allowed"] > 0)
    high = float(max(instances["allowed"].max(), 1e-7)) * 2
    left = max(float(instances["allowed"][positive].min()) / 2, _LOWEST) if positive.any() else _LOWEST
    most = max(_MOST // len(names), 50)
    note = "Line: the bound. Dots: instances"
    note += f", {most:,} of each candidate, evenly by rank." if len(instances) > most * len(names) else "."
    with written_figure(stem, sheet.width, 2.4 * down, sheet, title=_finding(instances), note=note) as figure:
        axes = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        for axis in axes.flat[len(names) :]:
            axis.set_visible(False)
        for name, axis in zip(names, axes.flat, strict=False):
            drawn = instances[(instances["candidate"] == name) & positive]
            below = int((instances["candidate"] == name).sum()) - len(drawn)
            drawn = _thinned(drawn, most)
            style = {"color": look[name].light, "markersize": 2.2, "markeredgewidth": 0, "alpha": 0.45}
            axis.plot(drawn["allowed"], drawn["kl"], "o", **style)
            axis.plot([_LOWEST, high], [_LOWEST, high], color=RULE, linewidth=0.8)
            axis.set_title(shorten(name, 28 if across < 3 else 22))
            if below:
                axis.text(0.03, 0.9, f"{below:,} below {_LOWEST:g}", transform=axis.transAxes, color=SOFT)
        logarithmic_axis(axes[0, 0], "x", left, high)
        logarithmic_axis(axes[0, 0], "y", _LOWEST, high)
        for line in axes:
            line[0].set_ylabel("KL (nats)")
        for axis in axes[-1]:
            axis.set_xlabel("r²/8 (nats)")


def _thinned(instances: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most so many instances: the ones nearest to the bound, and others evenly by their distance from it."""
    if len(instances) <= most:
        return instances
    ordered = instances.iloc[(-instances["kl"] / instances["allowed"]).argsort(kind="stable")]
    places = [round(place * (len(ordered) - 1) / (most - 1)) for place in range(most)]
    return ordered.iloc[places]


def _finding(instances: pd.DataFrame) -> str:
    beyond = int((instances["kl"] > instances["allowed"] * (1 + 1e-9)).sum())
    if beyond:
        return f"{beyond:,} of {len(instances):,} instances lie above the bound"
    return "No instance lies above the bound"


BOUNDS = AnalysisFigure(
    name="bounds",
    table="instances",
    caption="KL of each instance against the largest KL that the range r of its logit shift allows; line: the bound.",
    draw=_draw,
)
