"""The behaviour of models on the straight lines through the reference and each candidate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from anchorlab.reports.analysis.figures.figure import HIGHEST, AnalysisFigure, Looks, Tables, draw_legend
from anchorlab.reports.drawing import Look, logarithmic_axis, marker_style, written_figure


def _draw(tables: Tables, look: Looks, stem: Path) -> None:
    paths = tables["paths"]
    kinds = list(dict.fromkeys(paths["buffers"]))
    panels = [name for name in ("loss", "accuracy", "kl", "asr") if paths[name].notna().any()]
    titles = {"loss": "clean loss (nats)", "accuracy": "accuracy", "kl": "KL (nats)", "asr": "attack success rate"}
    with written_figure(stem, 3.1 * len(panels), 2.9 * len(kinds) + 0.6) as figure:
        axes = figure.subplots(len(kinds), len(panels), sharex=True, sharey="col", squeeze=False)
        for kind, line in zip(kinds, axes, strict=True):
            for name, axis in zip(panels, line, strict=True):
                for candidate, path in paths[paths["buffers"] == kind].groupby("candidate", sort=False):
                    _line(axis, path.sort_values("scale"), name, look[str(candidate)])
                for model in (0, 1):
                    axis.axvline(model, color="#777777", linewidth=0.8, linestyle=":")
            line[0].set_ylabel("" if len(kinds) == 1 else f"BatchNorm {kind}")
        for name, axis in zip(panels, axes[0], strict=True):
            axis.set_title(titles[name])
            if name in ("loss", "kl"):
                positive = paths[name][paths[name] > 0]
                low = max(float(positive.min()), 1e-5) if len(positive) else 1e-5
                high = min(max(float(paths[name].max()), 2 * low), 2 * HIGHEST)
                logarithmic_axis(axis, "y", low / 1.3, high * 1.3)
        for axis in axes[-1]:
            axis.set_xlabel("reference 0, candidate 1")
        draw_legend(figure, look, paths["candidate"])


def _line(axis: Any, path: pd.DataFrame, name: str, look: Look) -> None:
    x = path["scale"].to_numpy()
    # On a logarithmic axis, 0 is left out.
    values = path[name].where(path[name] > 0) if name in ("loss", "kl") else path[name]
    axis.plot(x, values, color=look.light, linewidth=1.2, linestyle=look.line)
    axis.plot(x[::4], values.to_numpy()[::4], **(marker_style(look) | {"markersize": 3.5, "markeredgewidth": 0.8}))
    axis.fill_between(x, path[f"{name}_lower"], path[f"{name}_upper"], color=look.light, alpha=0.15, linewidth=0)
    if name == "kl" and "kl_quadratic" in path and path["kl_quadratic"].notna().any():
        predicted = path["kl_quadratic"].where(path["kl_quadratic"] > 0)
        axis.plot(x, predicted, color=look.light, linewidth=0.8, linestyle="--")


PATHS = AnalysisFigure(
    name="paths",
    table="paths",
    caption="Along the straight line through the reference (0) and each candidate (1), with 95% intervals; dashed: the "
    "quadratic prediction of KL.",
    draw=_draw,
)
