"""Still figures of a suite: examples of triggers, metrics by method, and attack success against consistency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from torch import Tensor

from anchorlab.metrics import METRICS
from anchorlab.reports.drawing import CONTROL, Look, logarithmic_axis, looks, marker_style, shorten, written_figure
from anchorlab.reports.measures import DRAWN
from anchorlab.reports.suite.fronts import Tried, lowest_shown
from anchorlab.reports.suite.summary import Condition, Entry
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.numbers import defined
from anchorlab.suites.examples import Examples

_CONTROL_LINE: dict[str, Any] = {"linestyle": "--", "linewidth": 1.2}

#: The background of words in a panel, which hides the grid.
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1}


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
            _scale(axes[0, column], "x", ends, METRICS[name].logarithmic)
            axes[-1, column].set_xlabel(_axis_title(name))
        for group, line in zip(groups, axes, strict=True):
            line[0].set_title(group.title, loc="left", fontweight="bold")
            for entry in group.entries:
                for axis, name in zip(line, DRAWN, strict=True):
                    _draw_runs(axis, labels.index(entry.label), entry, name, drawn[entry.label])
        axes[0, 0].set_yticks(range(len(labels)), [shorten(label, 40) for label in labels])
        axes[0, 0].set_ylim(len(labels) - 0.4, -0.6)
        figure.align_xlabels()
        figure.supxlabel(
            f"target ASR {condition.target_asr:g}; dots: runs; marker and bar: mean, 95% interval", fontsize=8
        )


def _draw_runs(axis: Any, row: int, entry: Entry, name: str, look: Look) -> None:
    """The runs of one method as dots, and above them mean and interval, or words that say why there are none."""
    logarithmic = axis.get_xscale() == "log"
    estimate = entry.estimate(name)
    values = [value for value in entry.values(name) if value > 0 or not (logarithmic or np.isnan(value))]
    axis.plot(values, [row + 0.26] * len(values), ".", color=look.light, alpha=0.55, markersize=5, mew=0)
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
    """Attack success against a metric of the clean behaviour; the attacker wants to be at the upper left.

    Small markers are the strengths tried, on ``selection``. Large ones with bars are the reported means, on ``test``.
    The benign update has no backdoor and is drawn as a line at its mean.

    Args:
        name: of the metric.
        fronts: size to method to its lines, see ``anchorlab.reports.suite.fronts``.
        conditions: the conditions of one setting, one for each target.
        stem: the files to write, less ``.png`` and ``.svg``.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    titles = {group.asked: group.title for condition in conditions for group in condition.groups}
    labels = list(dict.fromkeys(label for condition in conditions for label in condition.labels))
    drawn = looks(labels)
    logarithmic = METRICS[name].logarithmic
    reported = [
        (group.asked, entry) for condition in conditions for group in condition.groups for entry in group.entries
    ]
    points = [point for lines in fronts.values() for line in lines.values() for part in line for point in part]
    lowest = lowest_shown([condition.target_asr for condition in conditions], [point.asr for point in points])
    with written_figure(stem, 2.2 + 3.6 * len(titles), 3.8) as figure:
        axes = figure.subplots(1, len(titles), sharex=True, sharey=True, squeeze=False)[0]
        panels = dict(zip(titles, axes, strict=True))
        _scale_front(axes[0], name, [entry for _, entry in reported], points, lowest)
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
        signs = [_key(label, drawn[label]) for label in labels]
        figure.legend(signs, [shorten(label, 40) for label in labels], loc="outside right upper")
        figure.supxlabel(
            "lines: strengths tried, on selection; large markers: reported means on test with 95% intervals; "
            "dotted: target ASR" + ("" if lowest is None else f"; rates below {lowest:g} lie outside"),
            fontsize=8,
        )


def _scale_front(
    axis: Any, name: str, reported: Sequence[Entry], points: Sequence[Tried], lowest: float | None
) -> None:
    """Limits that hold every run, interval and strength tried, but no success rate below ``lowest``."""
    values = [end for entry in reported for end in _ends(entry, name)]
    _scale(axis, "x", [*values, *(point.metrics.get(name, np.nan) for point in points)], METRICS[name].logarithmic)
    rates = [end for entry in reported if entry.label != CONTROL for end in _ends(entry, "asr")]
    rates += [point.asr for point in points]
    _scale(axis, "y", [rate for rate in rates if lowest is None or rate >= lowest])
    bottom, top = axis.get_ylim()
    axis.set_ylim(top=min(top, 1.0 + 0.03 * (1.0 - bottom)))


def _draw_tried(axis: Any, name: str, points: list[Tried], look: Look, logarithmic: bool) -> None:
    visible = [point for point in points if point.metrics.get(name, np.nan) > 0 or not logarithmic]
    x, y = [point.metrics.get(name, np.nan) for point in visible], [point.asr for point in visible]
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


def _axis_title(name: str) -> str:
    measure = METRICS[name]
    return f"{measure.title} ({measure.unit})" if measure.unit == "nats" else measure.title


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
