"""The behaviour of models on the straight lines through the reference and each candidate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from anchorlab.reports.analysis.figures.figure import HIGHEST, AnalysisFigure, Looks, Tables, legend_of
from anchorlab.reports.drawing import Look, Sheet, logarithmic_axis, marker_style, shorten, written_figure
from anchorlab.reports.looks import RULE

_TITLES = {"loss": "clean loss (nats)", "accuracy": "accuracy", "kl": "KL (nats)", "asr": "attack success rate"}
#: How many points lie between two signs of a line.
_APART = 3


def _draw(tables: Tables, look: Looks, stem: Path, sheet: Sheet) -> None:
    paths = tables["paths"]
    names = [name for name in _TITLES if paths[name].notna().any()]
    panels = [(kind, name) for kind in dict.fromkeys(paths["buffers"]) for name in names]
    across = sheet.across(len(panels), 2.8)
    down = -(-len(panels) // across)
    legend = legend_of(look, paths["candidate"])
    note = "0: the reference; 1: the candidate. Upright bars: 95% intervals over examples, at the signs."
    if "kl" in names and "kl_quadratic" in paths and paths["kl_quadratic"].notna().any():
        legend.append((Line2D([], [], color=RULE, linewidth=0.9, linestyle=(0, (2, 2))), "quadratic prediction"))
    title = _finding(tables)
    with written_figure(stem, sheet.width, 2.15 * down, sheet, title=title, note=note, legend=legend) as figure:
        axes = figure.subplots(down, across, sharex=True, squeeze=False)
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        for (kind, name), axis in zip(panels, axes.flat, strict=False):
            for number, (candidate, path) in enumerate(
                paths[paths["buffers"] == kind].groupby("candidate", sort=False)
            ):
                _line(axis, path.sort_values("scale"), name, look[str(candidate)], number % _APART)
            for model in (0, 1):
                axis.axvline(model, color=RULE, linewidth=0.8, linestyle=":")
            _limits(axis, paths, name)
            more = "" if len({kind for kind, _ in panels}) == 1 else f", BatchNorm {kind}"
            axis.set_title(_TITLES[name] + more)
        for axis in axes[-1]:
            axis.set_xlabel("share of the way")


def _limits(axis: Any, paths: pd.DataFrame, name: str) -> None:
    """The same limits in every panel of a measurement."""
    if name in ("loss", "kl"):
        positive = paths[name][paths[name] > 0]
        low = max(float(positive.min()), 1e-5) if len(positive) else 1e-5
        high = min(max(float(paths[name].max()), 2 * low), 2 * HIGHEST)
        logarithmic_axis(axis, "y", low / 1.3, high * 1.3)
    else:
        low, high = float(paths[f"{name}_lower"].min()), float(paths[f"{name}_upper"].max())
        axis.set_ylim(low - 0.03 * (high - low), high + 0.03 * (high - low))


def _line(axis: Any, path: pd.DataFrame, name: str, look: Look, first: int) -> None:
    x = path["scale"].to_numpy()
    # On a logarithmic axis, 0 is left out.
    values = (path[name].where(path[name] > 0) if name in ("loss", "kl") else path[name]).to_numpy()
    axis.plot(x, values, color=look.light, linewidth=1.0, linestyle=look.line)
    # Signs and intervals of different candidates stand at different places, so that they do not hide each other.
    at = slice(first, None, _APART)
    ends = [(path[name] - path[f"{name}_lower"]).clip(lower=0), (path[f"{name}_upper"] - path[name]).clip(lower=0)]
    bars = {"ecolor": look.light, "elinewidth": 0.9, "fmt": "none"}
    axis.errorbar(x[at], values[at], yerr=[end.to_numpy()[at] for end in ends], **bars)
    axis.plot(x[at], values[at], **(marker_style(look) | {"markersize": 3.8, "markeredgewidth": 0.8}))
    if name == "kl" and "kl_quadratic" in path and path["kl_quadratic"].notna().any():
        predicted = path["kl_quadratic"].where(path["kl_quadratic"] > 0)
        axis.plot(x, predicted, color=look.light, linewidth=0.9, linestyle=(0, (2, 2)))


def _finding(tables: Tables) -> str:
    barriers = tables["barriers"]
    stored = barriers[barriers["buffers"] == "stored"].dropna(subset=["loss"]) if len(barriers) else barriers
    if not len(stored):
        return ""
    highest, lowest = (stored.iloc[int(at)] for at in (stored["loss"].argmax(), stored["loss"].argmin()))
    if highest["loss"] <= 0:
        return "No straight path rises above the line between the losses of its ends"
    words = f"The highest barrier of the loss is on the way to {shorten(str(highest['candidate']), 24)}"
    if len(stored) == 1:
        return f"{words}: {highest['loss']:.3g} nats"
    beside = f"the lowest to {shorten(str(lowest['candidate']), 24)}, {lowest['loss']:.3g}"
    return f"{words}, {highest['loss']:.3g} nats; {beside}"


PATHS = AnalysisFigure(
    name="paths",
    table="paths",
    caption="Along the straight line through the reference (0) and each candidate (1), with 95% intervals; finely "
    "dashed: the quadratic prediction of KL.",
    draw=_draw,
)
