"""Clean loss and attack success on the plane through three models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from anchorlab.perturbation.wording import REFERENCE
from anchorlab.reports.analysis.figures.figure import HIGHEST, AnalysisFigure, Looks, Tables
from anchorlab.reports.drawing import Look, marker_style, shorten, written_figure

#: Levels of the clean loss, nats.
_LOSS_LEVELS = 10 ** np.arange(-3, 1.01, 0.125)


def _draw(tables: Tables, look: Looks, stem: Path) -> None:
    plane, models = tables["plane"], tables["models"]
    has_attack = bool(plane["asr"].notna().any())
    x, y = np.sort(plane["x"].unique()), np.sort(plane["y"].unique())
    shape = (len(y), len(x))
    with written_figure(stem, 11 if has_attack else 6.2, 5.2) as figure:
        axes = figure.subplots(1, 2 if has_attack else 1, sharex=True, sharey=True, squeeze=False)[0]
        loss = plane["loss"].to_numpy().reshape(shape)
        levels = _levels(loss)
        # Where the loss is infinite or beyond the levels, the darkest colour.
        visible = np.clip(np.where(np.isfinite(loss), loss, levels[-1]), levels[0], levels[-1])
        filled = axes[0].contourf(x, y, np.log10(visible), levels=np.log10(levels), cmap="Blues")
        axes[0].contour(
            x, y, np.log10(visible), levels=np.log10(levels), colors="#4a6785", linewidths=0.4, linestyles="solid"
        )
        bar = figure.colorbar(filled, ax=axes[0], ticks=np.log10(levels[::3]), shrink=0.85)
        bar.ax.set_yticklabels([f"{level:.2g}" for level in levels[::3]])
        axes[0].set_title(f"clean loss (nats; {HIGHEST:g} and more alike)")
        if has_attack:
            rate = plane["asr"].to_numpy().reshape(shape)
            steps = np.linspace(0, 1, 11)
            filled = axes[1].contourf(x, y, rate, levels=steps, cmap="Reds")
            axes[1].contour(x, y, rate, levels=steps, colors="#8a4a44", linewidths=0.4)
            figure.colorbar(filled, ax=axes[1], ticks=steps[::2], shrink=0.85)
            axes[1].set_title("attack success rate")
        keys = []
        furthest = max(float(models["distance"].max()), 1e-12)
        for row in models.to_dict("records"):
            name, distance = str(row["candidate"]), float(row["distance"])
            style = _star() if name == REFERENCE else _marked(look[name], hollow=distance > 1e-3 * furthest)
            for axis in axes:
                axis.plot(row["x"], row["y"], **style, zorder=3)
            label = shorten(name, 28) + (f" ({distance:.3g} off the plane)" if distance > 1e-3 * furthest else "")
            keys.append(Line2D([], [], **style, label=label))
        for axis in axes:
            axis.set(xlabel="L2 distance")
            axis.grid(False)
        axes[0].set_ylabel("L2 distance")
        figure.legend(handles=keys, loc="outside lower center", ncols=3, fontsize=8)


def _levels(loss: np.ndarray[Any, Any]) -> Any:
    """The fixed levels that the loss spans, at least two."""
    finite = loss[loss <= HIGHEST]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.1, 1.0)
    first = max(int(np.searchsorted(_LOSS_LEVELS, low)) - 1, 0)
    last = min(int(np.searchsorted(_LOSS_LEVELS, high)), len(_LOSS_LEVELS) - 1)
    return _LOSS_LEVELS[min(first, last - 1) : last + 1]


def _star() -> dict[str, Any]:
    return {"marker": "*", "markersize": 12, "color": "black", "markeredgecolor": "white", "linestyle": "none"}


def _marked(look: Look, *, hollow: bool) -> dict[str, Any]:
    style = marker_style(look)
    if hollow:
        return style | {"markerfacecolor": "white", "fillstyle": "full"}
    return style | {"markeredgecolor": "white", "markeredgewidth": 0.5, "markersize": 8}


BASIN = AnalysisFigure(
    name="basin",
    table="plane",
    caption="Clean loss and attack success on the plane through the reference, the first candidate and the "
    "farthest other candidate. A hollow marker is the projection of a model off the plane.",
    draw=_draw,
)
