"""Still figures of a suite, as PNG and SVG files: the same data give the same bytes.

Every method has one colour and marker everywhere (Okabe and Ito's palette, safe for colour-blind readers);
a variant of a method, named as in ``plain (stopped)``, shares them, with another filling and line.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from torch import Tensor

from anchorlab.consistency.statistics import Estimate
from anchorlab.files import write_atomically
from anchorlab.reports.fronts import Tried, lowest_shown
from anchorlab.reports.measures import DRAWN, MEASURES, defined
from anchorlab.reports.report import Examples
from anchorlab.reports.summary import Condition, Entry

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
    "svg.hashsalt": "anchorlab",
}


class Look(NamedTuple):
    """How a method is drawn: colour on light and on dark, marker of matplotlib and of plotly, filling, line."""

    light: str
    dark: str
    marker: str
    symbol: str
    filling: str = "full"
    line: str = "-"


_LOOKS = {
    "plain": Look("#000000", "#f2f2f2", "o", "circle"),
    "scratch": Look("#8c6d1f", "#c9a64a", "X", "x"),
    "l2": Look("#56b4e9", "#56b4e9", "v", "triangle-down"),
    "ewc": Look("#0072b2", "#3d9bd6", "^", "triangle-up"),
    "surgery": Look("#009e73", "#22b98c", "P", "cross"),
    "weight-ball": Look("#cc79a7", "#d98fb8", "s", "square"),
    "anchoring": Look("#d55e00", "#ee7d22", "D", "diamond"),
    "distillation": Look("#e69f00", "#e69f00", "h", "hexagon"),
    "benign": Look("#8a8a8a", "#9a9a9a", "d", "diamond-tall"),
}
_OTHER_LOOKS = (
    Look("#332288", "#8c7fe0", "<", "triangle-left"),
    Look("#882255", "#d0639a", ">", "triangle-right"),
    Look("#44aa99", "#44aa99", "p", "pentagon"),
    Look("#999933", "#b3b34a", "8", "octagon"),
)
#: Filling of the marker and line of a method as such and of its variants; what is not filled is white.
_VARIANTS = (("full", "-"), ("none", "--"), ("left", ":"), ("bottom", "-."))

#: The control that carries no backdoor; its ASR says nothing of an attack.
CONTROL = "benign"
_CONTROL_LINE: dict[str, Any] = {"linestyle": "--", "linewidth": 1.2}

#: What lies behind words in a panel, hiding the grid.
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1}


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """How each method is drawn."""
    found: dict[str, Look] = {}
    for method in methods:
        base = method.partition(" (")[0]
        look = _LOOKS.get(base) or _OTHER_LOOKS[sum(base.encode()) % len(_OTHER_LOOKS)]
        variant = sum(other.partition(" (")[0] == base for other in found) % len(_VARIANTS)
        filling, line = _VARIANTS[variant]
        found[method] = look._replace(filling=filling, line=line)
    return found


def triggered_examples(examples: Examples, stem: Path) -> None:
    """Clean inputs above the same inputs with the trigger, and the absolute difference.

    Args:
        examples: of images; C is 3 for colour, anything else is averaged to grey.
        stem: the files to write, less ``.png`` and ``.svg``.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    assert isinstance(examples.clean, Tensor)
    assert isinstance(examples.triggered, Tensor)
    difference = (examples.triggered.int() - examples.clean.int()).abs()
    largest = max(int(difference.max()), 1)
    rows = (
        ("clean", examples.clean / 255),
        ("triggered", examples.triggered / 255),
        (f"difference\n(white: {largest})", difference / largest),
    )
    columns = len(examples.clean)
    with written_figure(stem, 1.1 + 1.1 * columns, 3.8) as figure:
        axes = figure.subplots(len(rows), columns, squeeze=False)
        for (title, images), line in zip(rows, axes, strict=True):
            for image, axis in zip(images, line, strict=True):
                pixels = image.permute(1, 2, 0) if len(image) == 3 else image.mean(dim=0)
                axis.imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(True)
                axis.spines[:].set(color="#bbbbbb", linewidth=0.6)
            line[0].set_ylabel(title)
        for label, axis in zip(examples.labels.tolist(), axes[0], strict=True):
            axis.set_title(shorten(examples.classes[label], 14), fontsize=9)


def metrics_by_method(condition: Condition, stem: Path) -> None:
    """Each metric of ``DRAWN`` by method: each run, and mean with 95% interval; a row of panels for each size.

    Args:
        condition: the setting and target.
        stem: the files to write, less ``.png`` and ``.svg``.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    labels, groups = condition.labels, condition.groups
    drawn = looks(labels)
    with written_figure(stem, 10, 0.9 + len(groups) * (0.5 + 0.3 * len(labels))) as figure:
        axes = figure.subplots(len(groups), len(DRAWN), sharex="col", sharey=True, squeeze=False)
        for column, name in enumerate(DRAWN):
            ends = [end for group in groups for entry in group.entries for end in _ends(entry, name)]
            _scale(axes[0, column], "x", ends, MEASURES[name].logarithmic)
            axes[-1, column].set_xlabel(_axis_title(name))
        for group, line in zip(groups, axes, strict=True):
            line[0].set_title(group.title, loc="left", fontweight="bold")
            for entry in group.entries:
                for axis, name in zip(line, DRAWN, strict=True):
                    _draw_runs(axis, labels.index(entry.label), entry, name, drawn[entry.label])
        axes[0, 0].set_yticks(range(len(labels)), labels)
        axes[0, 0].set_ylim(len(labels) - 0.4, -0.6)
        figure.align_xlabels()
        figure.supxlabel(
            f"target ASR {condition.target_asr:g}; dots: runs; marker and bar: mean, 95% interval", fontsize=8
        )


def _draw_runs(axis: Any, row: int, entry: Entry, name: str, look: Look) -> None:
    """The runs of one method as dots, and above them mean and interval, or in words why there are none."""
    logarithmic = axis.get_xscale() == "log"
    estimate = entry.estimate(name)
    shown = [value for value in entry.values(name) if value > 0 or not (logarithmic or np.isnan(value))]
    axis.plot(shown, [row + 0.26] * len(shown), ".", color=look.light, alpha=0.55, markersize=5, mew=0)
    if len(entry.runs) == 0:
        remark = "not reached"
    elif not defined(estimate.value):
        remark = "undefined"
    elif logarithmic and estimate.value == 0:
        remark = "0"
    else:
        axis.errorbar(estimate.value, row - 0.06, xerr=_bar(estimate, logarithmic), **marker_style(look))
        return
    axis.text(0.03, row - 0.06, remark, transform=axis.get_yaxis_transform(), va="center", color="#555555", bbox=_PAPER)


def asr_against(
    name: str, fronts: dict[str, dict[str, list[list[Tried]]]], conditions: Sequence[Condition], stem: Path
) -> None:
    """How strong the backdoor is against how far the clean behaviour moved, up and left being the attacker's wish.

    Small markers are the strengths tried, on ``selection``; large ones with bars what is reported, on ``test``.
    The benign update, which carries no backdoor, is drawn as a line at its mean.

    Args:
        name: of the metric.
        fronts: size to method to its lines, see ``anchorlab.reports.fronts``.
        conditions: those of one setting, a target each.
        stem: the files to write, less ``.png`` and ``.svg``.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    titles = {group.asked: group.title for condition in conditions for group in condition.groups}
    labels = list(dict.fromkeys(label for condition in conditions for label in condition.labels))
    drawn = looks(labels)
    logarithmic = MEASURES[name].logarithmic
    reported = [(group.asked, entry) for one in conditions for group in one.groups for entry in group.entries]
    points = [point for lines in fronts.values() for line in lines.values() for part in line for point in part]
    with written_figure(stem, 2.2 + 3.6 * len(titles), 3.8) as figure:
        axes = figure.subplots(1, len(titles), sharex=True, sharey=True, squeeze=False)[0]
        panels = dict(zip(titles, axes, strict=True))
        ends = [end for _, entry in reported for end in _ends(entry, name)]
        _scale(axes[0], "x", [*ends, *(point.metrics.get(name, np.nan) for point in points)], logarithmic)
        rates = [end for _, entry in reported if entry.label != CONTROL for end in _ends(entry, "asr")]
        tried = [point.asr for point in points]
        lowest = lowest_shown([condition.target_asr for condition in conditions], tried)
        _scale(axes[0], "y", [rate for rate in (*rates, *tried) if lowest is None or rate >= lowest])
        axes[0].set_ylim(top=min(axes[0].get_ylim()[1], 1.0 + 0.03 * (1.0 - axes[0].get_ylim()[0])))
        for condition in conditions:
            for axis in axes:
                axis.axhline(condition.target_asr, color="#777777", linewidth=0.8, linestyle=":")
        for asked, lines in fronts.items():
            for label, parts in lines.items():
                for part in parts if label in drawn and asked in panels else []:
                    _draw_tried(panels[asked], name, part, drawn[label], logarithmic)
        for asked, entry in reported:
            _draw_reported(panels[asked], name, entry, drawn[entry.label], logarithmic)
        for asked, axis in panels.items():
            axis.set(xlabel=_axis_title(name), title=titles[asked])
        axes[0].set_ylabel("attack success rate")
        figure.legend([_key(label, drawn[label]) for label in labels], labels, loc="outside right upper")
        figure.supxlabel(
            "lines: strengths tried, on selection; large markers: reported means on test with 95% intervals; "
            "dotted: target ASR" + ("" if lowest is None else f"; rates below {lowest:g} lie outside"),
            fontsize=8,
        )


def _draw_tried(axis: Any, name: str, points: list[Tried], look: Look, logarithmic: bool) -> None:
    shown = [point for point in points if point.metrics.get(name, np.nan) > 0 or not logarithmic]
    x, y = [point.metrics.get(name, np.nan) for point in shown], [point.asr for point in shown]
    style = marker_style(look) | {"markersize": 3.5, "markeredgewidth": 0.8, "linestyle": look.line}
    axis.plot(x, y, **style, linewidth=0.9, alpha=0.7)


def _draw_reported(axis: Any, name: str, entry: Entry, look: Look, logarithmic: bool) -> None:
    """The mean with bars both ways, or a line for the control, if the axis can show it."""
    x, y = entry.estimate(name), entry.estimate("asr")
    if x.value is None or not defined(x.value) or (logarithmic and x.value <= 0):
        return
    if entry.label == CONTROL:
        axis.axvline(x.value, **_CONTROL_LINE, color=look.light)
    elif defined(y.value):
        axis.errorbar(x.value, y.value, xerr=_bar(x, logarithmic), yerr=_bar(y), elinewidth=1, **marker_style(look))


def _key(method: str, look: Look) -> Line2D:
    """The method's sign in a legend."""
    if method == CONTROL:
        return Line2D([], [], **_CONTROL_LINE, color=look.light)
    return Line2D([], [], **marker_style(look))


def shorten(text: str, length: int) -> str:
    """The text, or its beginning with an ellipsis if it is longer than ``length`` characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _axis_title(name: str) -> str:
    measure = MEASURES[name]
    return f"{measure.title} ({measure.unit})" if measure.unit == "nats" else measure.title


@contextmanager
def written_figure(stem: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of that size in inches, in our style whatever the user's settings, written at the end."""
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(width, height))
        yield figure
        for kind, metadata in (("png", {"Software": "anchorlab"}), ("svg", {"Creator": "anchorlab", "Date": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
            write_atomically(stem.with_name(f"{stem.name}.{kind}"), buffer.getvalue())


def marker_style(look: Look) -> dict[str, Any]:
    """A marker for matplotlib; hollow ones are painted white, so that error bars do not cross them."""
    hollow = look.filling == "none"
    return {
        "color": look.light,
        "marker": look.marker,
        "fillstyle": "full" if hollow else look.filling,
        "markerfacecolor": "white" if hollow else look.light,
        "markerfacecoloralt": "white",
        "markersize": 6,
        "markeredgewidth": 1.2,
        "linestyle": "none",
    }


def _bar(estimate: Estimate, logarithmic: bool = False) -> list[list[float]] | None:
    """Lower and upper length of an error bar; on a logarithmic axis a bar that reaches zero runs off the panel."""
    value, lower, upper = estimate.value, estimate.lower, estimate.upper
    if value is None or lower is None or upper is None:
        return None
    down = max(value - lower, 0.0)
    return [[min(down, value * (1 - 1e-9)) if logarithmic else down], [max(upper - value, 0.0)]]


def _ends(entry: Entry, name: str) -> list[float]:
    """The runs' values and the ends of the interval."""
    estimate = entry.estimate(name)
    return [*entry.values(name), *(end for end in (estimate.value, estimate.lower, estimate.upper) if end is not None)]


def _scale(axis: Any, which: str, ends: Sequence[float], logarithmic: bool = False) -> None:
    """Limits that hold every value; logarithmic only if something is positive."""
    finite = [end for end in ends if np.isfinite(end) and (end > 0 or not logarithmic)]
    if not finite:
        return
    low, high = min(finite), max(finite)
    if logarithmic:
        logarithmic_axis(axis, which, *_wide(low, high))
    else:
        margin = 0.06 * (high - low or 0.1)
        axis.set(**{f"{which}lim": (low - margin, high + margin)})
        axis.locator_params(which, nbins=4)


def _wide(low: float, high: float) -> tuple[float, float]:
    """Limits of a logarithmic axis with some room, so wide that at least two ticks fall inside."""
    room = max(1.25, (6 * low / high) ** 0.5)
    return low / room, high * room


def logarithmic_axis(axis: Any, which: str, low: float, high: float) -> None:
    """A logarithmic axis with plain numbers at its ticks, also between the powers of ten if there are few."""
    axis.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    ticks = getattr(axis, f"{which}axis")
    ticks.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 60 else (1,)))
    ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ticks.set_minor_formatter(NullFormatter())
