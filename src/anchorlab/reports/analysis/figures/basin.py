"""Clean loss and attack success on the plane through three models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from scipy.interpolate import PchipInterpolator

from anchorlab.perturbation.tables.paths import CONNECTED
from anchorlab.perturbation.wording import REFERENCE
from anchorlab.reports.analysis.figures.figure import HIGHEST, AnalysisFigure, Looks, Tables
from anchorlab.reports.drawing import Look, Sheet, marker_style, shorten, written_figure
from anchorlab.reports.looks import INK, ON_DARK, ON_LIGHT, PAPER, unchanging
from anchorlab.statistics.arrays import Floats

#: Levels of the clean loss, nats.
_LOSS_LEVELS = 10 ** np.arange(-3, 1.01, 0.125)
#: Points of the drawn plane between two measured ones.
_FINER = 6
#: A strip is drawn with equal axes if it is at least so high, inches.
_LOWEST = 0.55


def _draw(tables: Tables, look: Looks, stem: Path, sheet: Sheet) -> None:
    plane, models = tables["plane"], tables["models"]
    # The longer side lies across.
    turned = np.ptp(plane["y"]) > np.ptp(plane["x"])
    across, up = ("y", "x") if turned else ("x", "y")
    names = ["loss", "asr"] if plane["asr"].notna().any() else ["loss"]
    ratio = max(float(np.ptp(plane[up]) / max(np.ptp(plane[across]), 1e-12)), 1e-6)
    beside = len(names) > 1 and ratio > 0.6 and sheet.width > 5
    room = (sheet.width / 2 if beside else sheet.width) - 1.6
    side = max(room * ratio, _LOWEST)
    keys = _keys(models, look, sheet)
    note = _note(plane, models, stretched=side > room * ratio * 1.05)
    height = (side + 5 * sheet.line) * (1 if beside else len(names))
    with written_figure(stem, sheet.width, height, sheet, title=_finding(tables), note=note, legend=keys) as figure:
        shape = (1, len(names)) if beside else (len(names), 1)
        axes = figure.subplots(*shape, sharex=True, sharey=True, squeeze=False).flat
        for axis, name in zip(axes, names, strict=True):
            x, y, values = _grid(plane, across, up, name)
            (_draw_loss if name == "loss" else _draw_rate)(figure, axis, _finer(x, y, values, name))
            _mark_models(axis, models, look, across, up)
            axis.set(ylabel="L2", aspect="auto" if side > room * ratio * 1.05 else "equal")
            axis.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
            axis.locator_params(axis="y", nbins=3 if side < 1.5 else 6)
            axis.set_xlabel("L2 distance of weights")
            axis.grid(False)


def _grid(plane: pd.DataFrame, across: str, up: str, name: str) -> tuple[Floats, Floats, Floats]:
    """The measured values, ``[len(y), len(x)]``, and where."""
    table = plane.pivot_table(index=up, columns=across, values=name, dropna=False)
    return table.columns.to_numpy(dtype=float), table.index.to_numpy(dtype=float), table.to_numpy(dtype=float)


def _finer(x: Floats, y: Floats, values: Floats, name: str) -> tuple[Floats, Floats, Floats]:
    """The values between the measured points; monotone between neighbours, so that nothing is made up."""
    if name == "loss":
        # Where the loss is infinite or beyond the levels, the darkest colour.
        values = np.log10(np.clip(np.where(np.isfinite(values), values, np.inf), _LOSS_LEVELS[0], 2 * HIGHEST))
    values = np.nan_to_num(values)
    fine_x, fine_y = (np.linspace(line[0], line[-1], _FINER * (len(line) - 1) + 1) for line in (x, y))
    along = np.asarray(PchipInterpolator(x, values, axis=1)(fine_x))
    return fine_x, fine_y, np.asarray(PchipInterpolator(y, along, axis=0)(fine_y))


def _draw_loss(figure: Any, axis: Any, plane: tuple[Floats, Floats, Floats]) -> None:
    levels = _levels(plane[2])
    beyond = "max" if plane[2].max() > levels[-1] + 1e-9 else "neither"
    filled = axis.contourf(*plane, levels=levels, cmap="Blues", extend=beyond)
    axis.contour(*plane, levels=levels, colors="#4a6785", linewidths=0.4, linestyles="solid")
    step = -(-len(levels) // 6)
    ticks = levels[::-1][::step][::-1]
    bar = figure.colorbar(filled, ax=axis, ticks=ticks, shrink=0.95, pad=0.02)
    bar.ax.set_yticklabels([f"{10**level:.2g}" for level in ticks])
    axis.set_title("clean loss (nats)")


def _draw_rate(figure: Any, axis: Any, plane: tuple[Floats, Floats, Floats]) -> None:
    steps = np.linspace(0, 1, 11)
    filled = axis.contourf(*plane[:2], np.clip(plane[2], 0, 1), levels=steps, cmap="Reds")
    axis.contour(*plane[:2], np.clip(plane[2], 0, 1), levels=steps, colors="#8a4a44", linewidths=0.4)
    figure.colorbar(filled, ax=axis, ticks=steps[::5], shrink=0.95, pad=0.02)
    axis.set_title("attack success rate")


def _levels(loss: Floats) -> Floats:
    """The fixed levels that the loss spans, at least two; logarithms, as the loss."""
    levels = np.log10(_LOSS_LEVELS)
    first = max(int(np.searchsorted(levels, float(loss.min()))) - 1, 0)
    last = min(int(np.searchsorted(levels, min(float(loss.max()), np.log10(HIGHEST)) - 1e-9)), len(levels) - 1)
    return np.asarray(levels[min(first, last - 1) : last + 1], dtype=np.float64)


def _is_off(models: pd.DataFrame) -> pd.Series:
    """Which models do not lie in the plane."""
    return models["distance"] > 1e-3 * max(float(models["distance"].max()), 1e-12)


def _mark_models(axis: Any, models: pd.DataFrame, look: Looks, across: str, up: str) -> None:
    for row, off in zip(models.to_dict("records"), _is_off(models), strict=True):
        name = str(row["candidate"])
        style = _star() if name == REFERENCE else _marked(look[name], hollow=bool(off))
        axis.plot(row[across], row[up], **style, zorder=4 if name == REFERENCE else 3, clip_on=False)


def _keys(models: pd.DataFrame, look: Looks, sheet: Sheet) -> list[tuple[Line2D, str]]:
    """The models, with how far each lies from the plane."""
    keys = []
    for row, off in zip(models.to_dict("records"), _is_off(models), strict=True):
        name = str(row["candidate"])
        style = _star(INK, PAPER) if name == REFERENCE else marker_style(look[name])
        style |= {"markerfacecolor": PAPER} if off else {}
        apart = f" ({row['distance']:.3g} off)" if off else ""
        keys.append((Line2D([], [], **style), shorten(name, 28 if sheet.width > 5 else 20) + apart))
    return keys


def _note(plane: pd.DataFrame, models: pd.DataFrame, *, stretched: bool) -> str:
    points = f"{plane['x'].nunique()} × {plane['y'].nunique()}"
    sentences = [f"Drawn between {points} measured points, on a scale of powers of ten, up to {HIGHEST:g} nats."]
    if _is_off(models).any():
        sentences.append("Hollow: a model off the plane, at its projection; in brackets its distance from it.")
    sentences.append("The upward axis is stretched." if stretched else "Both axes have one scale.")
    return " ".join(sentences)


def _finding(tables: Tables) -> str:
    barriers = tables["barriers"]
    stored = barriers[barriers["buffers"] == "stored"] if len(barriers) else barriers
    if not len(stored):
        return ""
    inside = stored["error"] < CONNECTED
    if inside.all() or not inside.any():
        which = "All" if inside.all() else "None"
        return f"{which} of the {len(stored)} candidates lie in the reference's basin (error barrier below {CONNECTED})"
    outside = ", ".join(shorten(name, 24) for name in stored["candidate"][~inside][:3])
    more = "" if (~inside).sum() <= 3 else " and others"
    return f"{inside.sum()} of {len(stored)} candidates lie in the reference's basin; not {outside}{more}"


def _star(colour: str = ON_LIGHT, edge: str = ON_DARK) -> dict[str, Any]:
    return {
        "marker": "*",
        "markersize": 11,
        "color": colour,
        "markeredgecolor": edge,
        "markeredgewidth": 0.7,
        "linestyle": "none",
    }


def _marked(look: Look, *, hollow: bool) -> dict[str, Any]:
    colour = unchanging(look.light)
    face = ON_DARK if hollow else colour
    edge = {"markeredgecolor": colour if hollow else ON_DARK, "markeredgewidth": 1.2 if hollow else 0.6}
    return (
        marker_style(look) | {"color": colour, "fillstyle": "full", "markerfacecolor": face, "markersize": 6.5} | edge
    )


BASIN = AnalysisFigure(
    name="basin",
    table="plane",
    caption="Clean loss and attack success on the plane through the reference, the first candidate and the "
    "farthest other candidate. A hollow marker is the projection of a model off the plane.",
    draw=_draw,
)
