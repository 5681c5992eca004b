"""Still figures of an analysis of weights, as PNG and SVG files: the same data give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from anchorlab.perturbation.analysis import REFERENCE, Analysis
from anchorlab.perturbation.size import BUFFERS, WHOLE
from anchorlab.reports.drawing import Look, logarithmic_axis, looks, marker_style, shorten, written_figure

#: Levels of the clean loss, nats.
_LOSS_LEVELS = 10 ** np.arange(-3, 1.01, 0.125)

#: Losses and divergences above this, nats, are all alike: the model has come apart.
_HIGHEST = 10.0

#: Panels beside each other at most.
_ACROSS = 3


def draw_all(analysis: Analysis, folder: Path) -> dict[str, str]:
    """Draws every figure for which there is something to draw; returns name to what it shows, in order.

    Args:
        analysis: what ``analyze`` found.
        folder: where the files go.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    look = _looks(analysis)
    figures: dict[str, tuple[str, Callable[[pd.DataFrame, Path], None], str]] = {
        "basin": (
            "plane",
            lambda table, stem: _basin(table, analysis.tables["models"], look, stem),
            "Clean loss and attack success on the plane through the reference, the first candidate and the one that "
            "lies farthest. A hollow sign is where a model off the plane falls on it.",
        ),
        "paths": (
            "paths",
            lambda table, stem: _paths(table, look, stem),
            "Along the straight line through the reference (0) and each candidate (1), with 95% intervals; dashed: the "
            "quadratic prediction of KL.",
        ),
        "layers": (
            "sizes",
            lambda table, stem: _layers(table, look, stem),
            "The change of each layer relative to the reference's weights of that layer.",
        ),
        "quadratic": (
            "quadratic",
            lambda table, stem: _quadratic(table, look, stem),
            "KL as the quadratic picture predicts it (filled) and as EWC's diagonal sees it (hollow), against the "
            "measured KL of the weights alone, with 95% intervals; line: equal.",
        ),
        "curvature": (
            "rayleigh",
            lambda table, stem: _curvature(table, analysis.tables["spectrum"], look, stem),
            "Curvature of the clean loss along each change, with 95% intervals, beside the mean and the largest "
            "eigenvalue of its Hessian.",
        ),
        "angles": ("angles", _angles, "Angles between the changes, degrees."),
        "bounds": (
            "instances",
            lambda table, stem: _bounds(table, look, stem),
            "KL of each instance against the most that the range r of its logit shift allows; line: the bound.",
        ),
        "gradients": (
            "gradients",
            lambda table, stem: _gradients(table, look, stem),
            "Cosine between the gradient of the backdoor loss and that of the clean loss, and of the anchor loss, "
            "along each injection.",
        ),
    }
    drawn = {}
    for name, (source, draw, words) in figures.items():
        if len(analysis.tables[source]):
            draw(analysis.tables[source], folder / name)
            drawn[name] = words
    return drawn


def _looks(analysis: Analysis) -> dict[str, Look]:
    """How each candidate is drawn: as its method is elsewhere, in a variant where several are of one method."""
    kinds = [analysis.kinds.get(name) or name for name in analysis.candidates]
    named = [kind if kinds.count(kind) == 1 else f"{kind} ({kinds[:at].count(kind)})" for at, kind in enumerate(kinds)]
    found = looks(named)
    return {name: found[label] for name, label in zip(analysis.candidates, named, strict=True)}


def _basin(plane: pd.DataFrame, models: pd.DataFrame, look: Mapping[str, Look], stem: Path) -> None:
    has_attack = bool(plane["asr"].notna().any())
    x, y = np.sort(plane["x"].unique()), np.sort(plane["y"].unique())
    shape = (len(y), len(x))
    with written_figure(stem, 11 if has_attack else 6.2, 5.2) as figure:
        axes = figure.subplots(1, 2 if has_attack else 1, sharex=True, sharey=True, squeeze=False)[0]
        loss = plane["loss"].to_numpy().reshape(shape)
        levels = _levels(loss)
        # Where the loss is infinite or beyond the levels, the darkest colour.
        shown = np.clip(np.where(np.isfinite(loss), loss, levels[-1]), levels[0], levels[-1])
        filled = axes[0].contourf(x, y, np.log10(shown), levels=np.log10(levels), cmap="Blues")
        axes[0].contour(
            x, y, np.log10(shown), levels=np.log10(levels), colors="#4a6785", linewidths=0.4, linestyles="solid"
        )
        bar = figure.colorbar(filled, ax=axes[0], ticks=np.log10(levels[::3]), shrink=0.85)
        bar.ax.set_yticklabels([f"{level:.2g}" for level in levels[::3]])
        axes[0].set_title(f"clean loss (nats; {_HIGHEST:g} and more alike)")
        if has_attack:
            rate = plane["asr"].to_numpy().reshape(shape)
            steps = np.linspace(0, 1, 11)
            filled = axes[1].contourf(x, y, rate, levels=steps, cmap="Reds")
            axes[1].contour(x, y, rate, levels=steps, colors="#8a4a44", linewidths=0.4)
            figure.colorbar(filled, ax=axes[1], ticks=steps[::2], shrink=0.85)
            axes[1].set_title("attack success rate")
        keys = {}
        furthest = max(float(models["distance"].max()), 1e-12)
        for row in models.to_dict("records"):
            name, distance = str(row["candidate"]), float(row["distance"])
            style = _star() if name == REFERENCE else _marked(look[name], hollow=distance > 1e-3 * furthest)
            for axis in axes:
                axis.plot(row["x"], row["y"], **style, zorder=3)
            label = shorten(name, 28) + (f" ({distance:.3g} off the plane)" if distance > 1e-3 * furthest else "")
            keys[label] = Line2D([], [], **style)
        for axis in axes:
            axis.set(xlabel="L2 distance")
            axis.grid(False)
        axes[0].set_ylabel("L2 distance")
        figure.legend(list(keys.values()), list(keys), loc="outside lower center", ncols=3, fontsize=8)


def _levels(loss: np.ndarray[Any, Any]) -> Any:
    """Those of the fixed levels that the loss spans, at least two."""
    finite = loss[loss <= _HIGHEST]
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


def _paths(paths: pd.DataFrame, look: Mapping[str, Look], stem: Path) -> None:
    kinds = list(dict.fromkeys(paths["buffers"]))
    panels = [name for name in ("loss", "accuracy", "kl", "asr") if paths[name].notna().any()]
    titles = {"loss": "clean loss (nats)", "accuracy": "accuracy", "kl": "KL (nats)", "asr": "attack success rate"}
    with written_figure(stem, 3.1 * len(panels), 2.9 * len(kinds) + 0.6) as figure:
        axes = figure.subplots(len(kinds), len(panels), sharex=True, sharey="col", squeeze=False)
        for kind, line in zip(kinds, axes, strict=True):
            for name, axis in zip(panels, line, strict=True):
                for candidate, path in paths[paths["buffers"] == kind].groupby("candidate", sort=False):
                    _line(axis, path.sort_values("scale"), name, look[str(candidate)])
                for at in (0, 1):
                    axis.axvline(at, color="#777777", linewidth=0.8, linestyle=":")
            line[0].set_ylabel("" if len(kinds) == 1 else f"BatchNorm {kind}")
        for name, axis in zip(panels, axes[0], strict=True):
            axis.set_title(titles[name])
            if name in ("loss", "kl"):
                positive = paths[name][paths[name] > 0]
                low = max(float(positive.min()), 1e-5) if len(positive) else 1e-5
                high = min(max(float(paths[name].max()), 2 * low), 2 * _HIGHEST)
                logarithmic_axis(axis, "y", low / 1.3, high * 1.3)
        for axis in axes[-1]:
            axis.set_xlabel("reference 0, candidate 1")
        _legend(figure, look, paths["candidate"])


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


def _layers(sizes: pd.DataFrame, look: Mapping[str, Look], stem: Path) -> None:
    inner = sizes[~sizes["layer"].isin([WHOLE, BUFFERS])]
    layers = list(dict.fromkeys(inner["layer"]))
    with written_figure(stem, min(4 + 0.22 * len(layers), 13), 4.6) as figure:
        axis = figure.subplots()
        for candidate, table in inner.groupby("candidate", sort=False):
            change = table.set_index("layer")["relative"].astype(float).reindex(layers)
            drawn = look[str(candidate)]
            style = marker_style(drawn) | {"markersize": 4, "linestyle": drawn.line, "linewidth": 0.7}
            axis.plot(range(len(layers)), change.where(change > 0), **style)
        every = -(-len(layers) // 40)
        shown = range(0, len(layers), every)
        axis.set_xticks(shown, [_short_layer(layers[at]) for at in shown], rotation=90, fontsize=6.5)
        axis.set(yscale="log", ylabel="L2 of the change / L2 of the weights")
        _legend(figure, look, inner["candidate"])


def _short_layer(name: str) -> str:
    """The end of a layer's name, which tells it apart."""
    return name if len(name) <= 32 else f"…{name[-31:]}"


def _quadratic(quadratic: pd.DataFrame, look: Mapping[str, Look], stem: Path) -> None:
    known = quadratic[(quadratic[["kl", "kl_quadratic"]] > 0).all(axis=1)]
    with written_figure(stem, 7.2, 4.6) as figure:
        axis = figure.subplots()
        ends = [known[name] for name in ("kl", "kl_quadratic", "ewc")] if len(known) else [pd.Series([0.1, 1.0])]
        values = pd.concat(ends)
        low, high = float(values[values > 0].min()) / 2, float(values.max()) * 2
        axis.plot([low, high], [low, high], color="#777777", linewidth=0.8)
        for row in known.to_dict("records"):
            drawn = look[str(row["candidate"])]
            for name, hollow in (("kl_quadratic", False), ("ewc", True)):
                if row[name] > 0:
                    bars: dict[str, Any] = {"xerr": _bar(row, "kl"), "yerr": _bar(row, name), "elinewidth": 0.8}
                    style = marker_style(drawn) | ({"markerfacecolor": "white"} if hollow else {})
                    axis.errorbar(row["kl"], row[name], **bars, **style)
        logarithmic_axis(axis, "x", low, high)
        logarithmic_axis(axis, "y", low, high)
        axis.set(xlabel="measured KL of the weights alone (nats)", ylabel="predicted (nats)")
        _legend(figure, look, quadratic["candidate"])


def _curvature(rayleigh: pd.DataFrame, spectrum: pd.DataFrame, look: Mapping[str, Look], stem: Path) -> None:
    with written_figure(stem, 7.2, 1.4 + 0.34 * len(rayleigh)) as figure:
        axis = figure.subplots()
        for at, row in enumerate(rayleigh.to_dict("records")):
            drawn = look[str(row["candidate"])]
            axis.errorbar(row["rayleigh"], at, xerr=_bar(row, "rayleigh"), elinewidth=1, **marker_style(drawn))
        found = dict(zip(spectrum["quantity"], spectrum["value"], strict=True)) if len(spectrum) else {}
        for name, words, line in (("mean eigenvalue", "mean", ":"), ("eigenvalue 1", "largest", "--")):
            if name in found:
                axis.axvline(found[name], color="#777777", linewidth=1, linestyle=line, label=f"{words} eigenvalue")
        ends = pd.concat([rayleigh["rayleigh"], pd.Series(list(found.values()), dtype=float)]).abs()
        axis.set_xscale("symlog", linthresh=max(float(ends[ends > 0].min()) if (ends > 0).any() else 1e-6, 1e-9))
        axis.set_yticks(range(len(rayleigh)), [shorten(str(name), 24) for name in rayleigh["candidate"]])
        axis.set(ylim=(len(rayleigh) - 0.5, -0.5), xlabel="curvature (nats per squared unit of weight)")
        if found:
            axis.legend(loc="best", fontsize=8)


def _angles(angles: pd.DataFrame, stem: Path) -> None:
    names = list(dict.fromkeys(angles["candidate"]))
    matrix = angles.pivot_table(index="candidate", columns="other", values="degrees").reindex(names)[names].to_numpy()
    with written_figure(stem, 2.6 + 0.62 * len(names), 1.8 + 0.55 * len(names)) as figure:
        axis = figure.subplots()
        axis.imshow(np.nan_to_num(matrix), cmap="viridis", vmin=0, vmax=120)
        for (i, j), value in np.ndenumerate(matrix):
            if i != j and np.isfinite(value):
                axis.text(j, i, f"{value:.0f}", ha="center", va="center", color="white" if value < 75 else "black")
        short = [shorten(name, 20) for name in names]
        axis.set_xticks(range(len(names)), short, rotation=45, ha="right")
        axis.set_yticks(range(len(names)), short)
        axis.grid(False)


def _bounds(instances: pd.DataFrame, look: Mapping[str, Look], stem: Path) -> None:
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
            here = (instances["candidate"] == name) & positive & (instances["kl"] > low)
            # Thousands of dots as vectors would make a file that no browser likes.
            style = {"color": look[name].light, "markersize": 2, "markeredgewidth": 0, "alpha": 0.35}
            axis.plot(allowed[here], instances["kl"][here], "o", rasterized=True, **style)
            axis.plot([low, high], [low, high], color="#777777", linewidth=0.8)
            axis.set_title(shorten(name, 28))
            below = int((instances["candidate"] == name).sum() - here.sum())
            if below:
                axis.text(0.03, 0.93, f"{below:,} below {low:g}", transform=axis.transAxes, fontsize=7, color="#555555")
        logarithmic_axis(axes[0, 0], "x", left, high)
        logarithmic_axis(axes[0, 0], "y", low, high)
        for axis in axes.flat:
            axis.tick_params(labelsize=7)
        figure.supxlabel("r²/8 (nats)", fontsize=9)
        figure.supylabel("KL (nats)", fontsize=9)


def _gradients(gradients: pd.DataFrame, look: Mapping[str, Look], stem: Path) -> None:
    titles = {"cosine_clean": "with the clean loss's", "cosine_anchor": "with the anchor loss's"}
    with written_figure(stem, 9, 3.6) as figure:
        axes = figure.subplots(1, 2, sharey=True)
        for axis, (name, title) in zip(axes, titles.items(), strict=True):
            for candidate, run in gradients.groupby("candidate", sort=False):
                drawn = look[str(candidate)]
                style = marker_style(drawn) | {"markersize": 3, "linestyle": drawn.line, "linewidth": 0.8}
                # Steps as a share of the run, for methods take different numbers of them.
                axis.plot(run["step"] / max(int(run["step"].max()), 1), run[name], **style)
            axis.axhline(0, color="#777777", linewidth=0.8)
            axis.set(title=title, xlabel="share of the steps")
            axis.xaxis.set_major_locator(MaxNLocator(5))
        axes[0].set_ylabel("cosine of the backdoor loss's gradient")
        _legend(figure, look, gradients["candidate"])


def _legend(figure: Any, look: Mapping[str, Look], candidates: pd.Series[Any]) -> None:
    names = [name for name in look if name in set(candidates)]
    lines = [Line2D([], [], **(marker_style(look[name]) | {"linestyle": look[name].line})) for name in names]
    figure.legend(lines, [shorten(name, 28) for name in names], loc="outside lower center", ncols=5, fontsize=8)


def _bar(row: Mapping[Any, Any], name: str) -> Sequence[Sequence[float]]:
    return [[max(row[name] - row[f"{name}_lower"], 0.0)], [max(row[f"{name}_upper"] - row[name], 0.0)]]
