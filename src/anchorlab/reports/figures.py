"""Still figures of many runs, as PNG files: the same data give the same bytes.

Every method has one colour and marker everywhere (Okabe and Ito's palette, safe for colour-blind readers);
a variant of a method, named as in ``plain (stopped)``, shares them, with another filling and line.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from torch import Tensor

from anchorlab.files import write_atomically
from anchorlab.reports.tables import groups, spread

DPI = 150

STYLE = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}

#: Method to colour and marker.
_LOOKS = {
    "plain": ("#000000", "o"),
    "scratch": ("#8c6d1f", "X"),
    "l2": ("#56b4e9", "v"),
    "ewc": ("#0072b2", "^"),
    "surgery": ("#009e73", "P"),
    "weight-ball": ("#cc79a7", "s"),
    "anchoring": ("#d55e00", "D"),
    "distillation": ("#e69f00", "h"),
    "benign": ("#8a8a8a", "d"),
}
_OTHER_LOOKS = (("#332288", "<"), ("#882255", ">"), ("#44aa99", "p"), ("#999933", "8"))
#: Filling of the marker and line of a method as such and of its variants; what is not filled is white.
_VARIANTS = (("full", "-"), ("none", "--"), ("left", ":"), ("bottom", "-."))

#: The control that carries no backdoor; its ASR says nothing of an attack.
_CONTROL = "benign"
_CONTROL_LINE: dict[str, Any] = {"linestyle": "--", "linewidth": 1.2}

#: What lies behind words in a panel, hiding the grid.
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1}

#: Measurement, its title, whether its axis is logarithmic.
_PANELS = (
    ("logit_distance", "logit distance", True),
    ("kl", "KL (nats)", True),
    ("pearson_correct", "Pearson correct", False),
    ("churn", "churn", False),
)


def looks(methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """How each method is drawn: colour, marker, filling of the marker, line."""
    found: dict[str, dict[str, Any]] = {}
    for method in methods:
        base = method.partition(" (")[0]
        color, marker = _LOOKS.get(base) or _OTHER_LOOKS[sum(base.encode()) % len(_OTHER_LOOKS)]
        variant = sum(other.partition(" (")[0] == base for other in found) % len(_VARIANTS)
        filling, line = _VARIANTS[variant]
        found[method] = {"color": color, "marker": marker, "filling": filling, "line": line}
    return found


def triggered_examples(clean: Tensor, triggered: Tensor, labels: Tensor, classes: Sequence[str], path: Path) -> None:
    """Clean inputs above the same inputs with the trigger, and the absolute difference.

    Args:
        clean: uint8 ``[n, C, H, W]``; C is 3 for colour, anything else is averaged to grey.
        triggered: uint8 ``[n, C, H, W]``.
        labels: true labels, int64 ``[n]``.
        classes: names of the classes, by label.
        path: the PNG to write.

    Raises:
        AnchorlabError: if the file cannot be written.
    """
    difference = (triggered.int() - clean.int()).abs()
    largest = max(int(difference.max()), 1)
    rows = (
        ("clean", clean / 255),
        ("triggered", triggered / 255),
        (f"difference\n(white: {largest})", difference / largest),
    )
    columns = len(clean)
    with _figure(path, 1.1 + 1.1 * columns, 3.8) as figure:
        axes = figure.subplots(len(rows), columns, squeeze=False)
        for (title, images), line in zip(rows, axes, strict=True):
            for image, axis in zip(images, line, strict=True):
                pixels = image.permute(1, 2, 0) if len(image) == 3 else image.mean(dim=0)
                axis.imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(True)
                axis.spines[:].set(color="#bbbbbb", linewidth=0.6)
            line[0].set_ylabel(title)
        for label, axis in zip(labels.tolist(), axes[0], strict=True):
            axis.set_title(shorten(classes[label], 14), fontsize=9)


def metrics_by_method(results: pd.DataFrame, path: Path) -> None:
    """Logit distance, KL, Pearson and churn by method: each run, and mean ± sample standard deviation.

    Args:
        results: one row a run, see ``anchorlab.reports.tables``; a row of panels for each number of anchors.
        path: the PNG to write.

    Raises:
        AnchorlabError: if the file cannot be written.
    """
    anchors, methods = _keys(results)
    drawn = looks(methods)
    with _figure(path, 10, 0.9 + len(anchors) * (0.5 + 0.3 * len(methods))) as figure:
        axes = figure.subplots(len(anchors), len(_PANELS), sharex="col", sharey=True, squeeze=False)
        for column, (name, title, logarithmic) in enumerate(_PANELS):
            _scale(axes[0, column], "x", [runs[name] for _, _, runs in groups(results)], logarithmic)
            axes[-1, column].set_xlabel(title)
        for count, method, runs in groups(results):
            row = methods.index(method)
            for axis, (name, _, _) in zip(axes[anchors.index(count)], _PANELS, strict=True):
                _draw_runs(axis, row, runs[name].astype(float), drawn[method])
        axes[0, 0].set_yticks(range(len(methods)), methods)
        axes[0, 0].set_ylim(len(methods) - 0.4, -0.6)
        if len(anchors) > 1:
            for count, line in zip(anchors, axes, strict=True):
                line[0].set_title(f"{count:,} anchors", loc="left", fontweight="bold")
        figure.align_xlabels()
        figure.supxlabel("dots: single runs; marker and bar: mean ± sample standard deviation", fontsize=8)


def _draw_runs(axis: Any, row: int, values: pd.Series[Any], look: dict[str, Any]) -> None:
    """The runs of one method as dots, and above them mean and deviation, or in words why there are none."""
    mean, sd = spread(values)
    logarithmic = axis.get_xscale() == "log"
    shown = values[values > 0] if logarithmic else values.dropna()
    axis.plot(shown, [row + 0.26] * len(shown), ".", color=look["color"], alpha=0.55, markersize=5, mew=0)
    missing = int(values.isna().sum())
    if missing:
        remark = "undefined" if missing == len(values) else f"undefined in {missing} of {len(values)}"
    elif logarithmic and mean <= 0:
        remark = "0"
    else:
        axis.errorbar(mean, row - 0.06, xerr=_bar(mean, sd, logarithmic), **_point(look))
        return
    axis.text(0.03, row - 0.06, remark, transform=axis.get_yaxis_transform(), va="center", color="#555555", bbox=_PAPER)


def asr_against_kl(results: pd.DataFrame, path: Path) -> None:
    """How strong the backdoor is against how far the clean behaviour moved, up and left being the attacker's wish.

    The benign update, which carries no backdoor, is drawn as a line at its KL.

    Args:
        results: one row a run, see ``anchorlab.reports.tables``; a panel for each number of anchors.
        path: the PNG to write.

    Raises:
        AnchorlabError: if the file cannot be written.
    """
    anchors, methods = _keys(results)
    drawn = looks(methods)
    with _figure(path, 2.2 + 3.6 * len(anchors), 3.8) as figure:
        axes = figure.subplots(1, len(anchors), sharex=True, sharey=True, squeeze=False)[0]
        _scale(axes[0], "x", [runs["kl"] for _, _, runs in groups(results)], logarithmic=True)
        _scale(axes[0], "y", [runs["asr"] for _, method, runs in groups(results) if method != _CONTROL])
        axes[0].set_ylim(top=min(axes[0].get_ylim()[1], 1.0 + 0.03 * (1.0 - axes[0].get_ylim()[0])))
        visible = set()
        for count, method, runs in groups(results):
            draw = _draw_control if method == _CONTROL else _draw_trade
            if draw(axes[anchors.index(count)], runs, drawn[method]):
                visible.add(method)
        for count, axis in zip(anchors, axes, strict=True):
            axis.set(xlabel="KL (nats)", title=f"{count:,} anchors")
        axes[0].set_ylabel("attack success rate")
        labels = [method if method in visible else f"{method} (not drawn)" for method in methods]
        figure.legend([_key(method, drawn[method]) for method in methods], labels, loc="outside right upper")
        remark = "" if visible == set(methods) else "\nnot drawn: undefined, or a KL of 0"
        figure.supxlabel(f"faint: single runs; marker and bars: mean ± sample standard deviation{remark}", fontsize=8)


def _draw_trade(axis: Any, runs: pd.DataFrame, look: dict[str, Any]) -> bool:
    """Single runs faintly and their mean with bars both ways, if a logarithmic axis can show it; says whether."""
    (kl, kl_sd), (asr, asr_sd) = spread(runs["kl"]), spread(runs["asr"])
    if not kl > 0 or np.isnan(asr):
        return False
    point = _point(look)
    single = point | {"markersize": 3.5, "markeredgewidth": 0.6, "alpha": 0.4}
    axis.plot(runs["kl"].astype(float), runs["asr"].astype(float), **single)
    axis.errorbar(kl, asr, xerr=_bar(kl, kl_sd, logarithmic=True), yerr=_bar(asr, asr_sd), **point)
    return True


def _draw_control(axis: Any, runs: pd.DataFrame, look: dict[str, Any]) -> bool:
    """A line at the control's mean KL, if a logarithmic axis can show it; says whether."""
    kl, _ = spread(runs["kl"])
    if not kl > 0:
        return False
    axis.axvline(kl, **_CONTROL_LINE, color=look["color"])
    return True


def _key(method: str, look: dict[str, Any]) -> Line2D:
    """The method's sign in a legend."""
    if method == _CONTROL:
        return Line2D([], [], **_CONTROL_LINE, color=look["color"])
    return Line2D([], [], **_point(look))


def logit_shift_histogram(shifts: dict[str, np.ndarray], path: Path) -> None:
    """Which share of the clean instances moved how far: a line for each method, on a logarithmic axis.

    Args:
        shifts: method to the root of the mean squared logit shift of each instance, float ``[N]``, not
            negative; shifts of exactly zero are counted in the legend.
        path: the PNG to write.

    Raises:
        AnchorlabError: if the file cannot be written.
    """
    drawn = looks(list(shifts))
    positive = np.concatenate([values[values > 0] for values in shifts.values()])
    with _figure(path, 7.5, 3.8) as figure:
        axis = figure.add_subplot(xlabel="shift of an instance (root of the mean squared logit shift)")
        axis.set_ylabel("share of instances in each bin")
        limits = _wide(positive.min(), positive.max()) if len(positive) > 0 else (0.1, 10.0)
        _logarithmic(axis, "x", *limits)
        bins = np.geomspace(*limits, 51)
        for method, values in shifts.items():
            zeros = int((values == 0).sum())
            heights, _ = np.histogram(values[values > 0], bins)
            axis.stairs(
                heights / len(values),
                bins,
                label=f"{method} ({zeros:,} of {len(values):,} are 0)" if zeros else method,
                color=drawn[method]["color"],
                linestyle=drawn[method]["line"],
                linewidth=1.5,
            )
        axis.set_ylim(bottom=0)
        figure.legend(loc="outside right upper")


def shorten(text: str, length: int) -> str:
    """The text, or its beginning with an ellipsis if it is longer than ``length`` characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


@contextmanager
def _figure(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of that size in inches, in our style whatever the user's settings, written at the end."""
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(width, height))
        yield figure
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": "anchorlab"})
    write_atomically(path, buffer.getvalue())


def _keys(results: pd.DataFrame) -> tuple[list[int], list[str]]:
    """The numbers of anchors and the methods, in order of first appearance."""
    return [int(count) for count in results["anchors"].unique()], [str(name) for name in results["method"].unique()]


def _point(look: dict[str, Any]) -> dict[str, Any]:
    """A marker for matplotlib; hollow ones are painted white, so that error bars do not cross them."""
    hollow = look["filling"] == "none"
    return {
        "color": look["color"],
        "marker": look["marker"],
        "fillstyle": "full" if hollow else look["filling"],
        "markerfacecolor": "white" if hollow else look["color"],
        "markerfacecoloralt": "white",
        "markersize": 6,
        "markeredgewidth": 1.2,
        "linestyle": "none",
    }


def _bar(mean: float, sd: float, logarithmic: bool = False) -> list[list[float]] | None:
    """Lower and upper length of an error bar; on a logarithmic axis a bar that reaches zero runs off the panel."""
    if np.isnan(sd):
        return None
    return [[min(sd, mean * (1 - 1e-9)) if logarithmic else sd], [sd]]


def _scale(axis: Any, which: str, columns: list[pd.Series[Any]], logarithmic: bool = False) -> None:
    """Limits that hold every run and every mean ± deviation; logarithmic only if something is positive."""
    ends: list[float] = []
    for values in columns:
        mean, sd = spread(values)
        lower = mean - sd
        if logarithmic:  # where the deviation is about the mean itself, its lower end would stretch the axis
            lower = max(lower, values.astype(float).min() / 2)
        ends += [*values.astype(float), lower, mean + sd]
    finite = [end for end in ends if np.isfinite(end) and (end > 0 or not logarithmic)]
    if not finite:
        return
    low, high = min(finite), max(finite)
    if logarithmic:
        _logarithmic(axis, which, *_wide(low, high))
    else:
        margin = 0.06 * (high - low or 0.1)
        axis.set(**{f"{which}lim": (low - margin, high + margin)})
        axis.locator_params(which, nbins=4)


def _wide(low: float, high: float) -> tuple[float, float]:
    """Limits of a logarithmic axis with some room, so wide that at least two ticks fall inside."""
    room = max(1.25, (6 * low / high) ** 0.5)
    return low / room, high * room


def _logarithmic(axis: Any, which: str, low: float, high: float) -> None:
    """A logarithmic axis with plain numbers at its ticks, also between the powers of ten if there are few."""
    axis.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    ticks = getattr(axis, f"{which}axis")
    ticks.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 60 else (1,)))
    ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ticks.set_minor_formatter(NullFormatter())
