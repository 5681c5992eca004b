"""KL of each instance against the largest KL that the shift of its logits allows."""

from __future__ import annotations

from pathlib import Path

from anchorlab.reports.analysis.figures.figure import AnalysisFigure, Looks, Tables
from anchorlab.reports.drawing import logarithmic_axis, shorten, written_figure

#: Panels beside each other at most.
_ACROSS = 3


def _draw(tables: Tables, look: Looks, stem: Path) -> None:
    instances = tables["instances"]
    names = list(dict.fromkeys(instances["candidate"]))
    across = min(len(names), _ACROSS)
    down = -(-len(names) // across)
    allowed = instances["range"] ** 2 / 8
    positive = (instances["kl"] > 0) & (allowed > 0)
    low, high = 1e-8, float(max(allowed.max(), 1e-7)) * 2
    left = max(float(allowed[positive].min()) / 2, low) if positive.any() else low
    with written_figure(stem, 3.3 * across + 0.4, 3 * down + 0.4) as figure:
        axes = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        for axis in axes.flat[len(names) :]:
            axis.set_visible(False)
        for name, axis in zip(names, axes.flat, strict=False):
            drawn = (instances["candidate"] == name) & positive & (instances["kl"] > low)
            # Thousands of dots as vectors would make a file too large for a browser.
            style = {"color": look[name].light, "markersize": 2, "markeredgewidth": 0, "alpha": 0.35}
            axis.plot(allowed[drawn], instances["kl"][drawn], "o", rasterized=True, **style)
            axis.plot([low, high], [low, high], color="#777777", linewidth=0.8)
            axis.set_title(shorten(name, 28))
            below = int((instances["candidate"] == name).sum() - drawn.sum())
            if below:
                axis.text(0.03, 0.93, f"{below:,} below {low:g}", transform=axis.transAxes, fontsize=7, color="#555555")
        logarithmic_axis(axes[0, 0], "x", left, high)
        logarithmic_axis(axes[0, 0], "y", low, high)
        for axis in axes.flat:
            axis.tick_params(labelsize=7)
        figure.supxlabel("r²/8 (nats)", fontsize=9)
        figure.supylabel("KL (nats)", fontsize=9)


BOUNDS = AnalysisFigure(
    name="bounds",
    table="instances",
    caption="KL of each instance against the largest KL that the range r of its logit shift allows; line: the bound.",
    draw=_draw,
)
