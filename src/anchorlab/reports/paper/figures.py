"""The figures of a paper: each metric by method, and attack success against a metric; with the points beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from anchorlab.metrics import METRICS, Metric
from anchorlab.reports.drawing import CONTROL, Look, looks, marker_style, shorten
from anchorlab.reports.paper.drawing import TEXT, few_ticks, printed_figure
from anchorlab.reports.suite.fronts import Tried, lowest_shown
from anchorlab.reports.suite.summary import Entry
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.numbers import defined

#: Inches of the narrowest panel whose axis labels do not touch, of a line of text, and of a method's row.
_PANEL, _LINE, _ROW = 0.85, 0.16, 0.21
#: Inches of a character of a label, for the room that labels take.
_CHARACTER = 0.072
_LONGEST_LABEL = 22


def draw_metrics(entries: Sequence[Entry], columns: Sequence[Metric], stem: Path, width: float) -> None:
    """Each metric by method: each run as a dot, and the mean with its 95% interval above; a panel for each metric.

    Args:
        entries: methods and controls, a row each.
        columns: metrics, a panel each; as many beside each other as the width holds.
        stem: the files to write, less ``.pdf`` and ``.svg``.
        width: in inches.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    labels = [shorten(entry.label, _LONGEST_LABEL) for entry in entries]
    drawn = looks([entry.label for entry in entries])
    room = width - _CHARACTER * max(map(len, labels))
    across = max(min(int(room / _PANEL), len(columns)), 1)
    down = -(-len(columns) // across)
    across = -(-len(columns) // down)
    with printed_figure(stem, width, down * (_ROW * len(entries) + 0.42)) as figure:
        axes = figure.subplots(down, across, sharey=True, squeeze=False)
        for index, axis in enumerate(axes.flat):
            if index >= len(columns):
                axis.set_visible(False)
                continue
            metric = columns[index]
            # The ASR of a benign update would leave the other methods a narrow strip.
            scaling = [entry for entry in entries if metric.name != "asr" or entry.label != CONTROL]
            low, high = _limits([end for entry in scaling for end in _ends(entry, metric.name)], metric.logarithmic)
            few_ticks(axis, "x", low, high, logarithmic=metric.logarithmic and low > 0)
            axis.set_xlabel(title_of(metric))
            for row, entry in enumerate(entries):
                _draw_row(axis, row, entry, metric, drawn[entry.label])
        axes[0, 0].set_yticks(range(len(entries)), labels)
        axes[0, 0].set_ylim(len(entries) - 0.4, -0.6)
        for axis in axes.flat:
            axis.tick_params(axis="y", length=0)


def _draw_row(axis: Any, row: int, entry: Entry, metric: Metric, look: Look) -> None:
    logarithmic = axis.get_xscale() == "log"
    estimate = entry.estimate(metric.name)
    low, high = axis.get_xlim()
    values = [value for value in entry.values(metric.name) if low <= value <= high]
    axis.plot(values, [row + 0.28] * len(values), ".", color=look.light, alpha=0.6, markersize=3.5, mew=0)
    if not len(entry.runs) or not defined(estimate.value) or not low <= (estimate.value or 0.0) <= high:
        remark = "undefined" if len(entry.runs) else "not reached"
        remark = f"{estimate.value:.3g}" if estimate.value is not None and defined(estimate.value) else remark
        axis.text(0.03, row, remark, transform=axis.get_yaxis_transform(), va="center", color="#555555", fontsize=TEXT)
        return
    style = marker_style(look) | {"markersize": 4, "markeredgewidth": 0.9}
    axis.errorbar(estimate.value, row - 0.06, xerr=_bar(estimate, logarithmic), elinewidth=1, **style)


def draw_front(
    metric: Metric,
    lines: dict[str, list[list[Tried]]],
    entries: Sequence[Entry],
    targets: Sequence[float],
    stem: Path,
    width: float,
) -> None:
    """Attack success against a metric: lines of strengths tried on ``selection``, means reported on ``test``.

    Args:
        metric: of the horizontal axis.
        lines: method to its lines, see ``anchorlab.reports.suite.fronts``.
        entries: the reported methods and controls, of all targets.
        targets: the target ASRs, dotted lines.
        stem: the files to write, less ``.pdf`` and ``.svg``.
        width: in inches.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    reported = [entry for entry in entries if len(entry.runs)]
    labels = list(dict.fromkeys([*(entry.label for entry in entries), *lines]))
    drawn = looks(labels)
    across = max(int(width / (0.06 * max(len(shorten(label, _LONGEST_LABEL)) for label in labels) + 0.4)), 1)
    across = min(across, len(labels))
    legend_lines = -(-len(labels) // across)
    points = [point for parts in lines.values() for part in parts for point in part]
    lowest = lowest_shown(targets, [point.asr for point in points])
    with printed_figure(stem, width, min(0.62 * width, 2.6) + 0.3 + _LINE * legend_lines) as figure:
        axis = figure.subplots()
        _scale_front(axis, metric, reported, points, lowest)
        for target in targets:
            axis.axhline(target, color="#777777", linewidth=0.8, linestyle=":")
        logarithmic = axis.get_xscale() == "log"
        for label, parts in lines.items():
            for part in parts:
                _draw_tried(axis, metric.name, part, drawn[label], logarithmic=logarithmic)
        for entry in reported:
            _draw_reported(axis, metric.name, entry, drawn[entry.label], logarithmic=logarithmic)
        axis.set(xlabel=title_of(metric), ylabel=METRICS["asr"].title)
        keys = [_key(label, drawn[label]) for label in labels]
        figure.legend(
            keys,
            [shorten(label, _LONGEST_LABEL) for label in labels],
            loc="outside lower center",
            ncols=across,
            handlelength=1.2,
            handletextpad=0.4,
            columnspacing=1.0,
            borderpad=0.1,
            borderaxespad=0.0,
        )


def _scale_front(
    axis: Any, metric: Metric, reported: Sequence[Entry], points: Sequence[Tried], lowest: float | None
) -> None:
    values = [end for entry in reported for end in _ends(entry, metric.name)]
    values += [point.metrics.get(metric.name, math.nan) for point in points]
    low, high = _limits(values, metric.logarithmic)
    few_ticks(axis, "x", low, high, logarithmic=metric.logarithmic and low > 0, most=5)
    rates = [end for entry in reported if entry.label != CONTROL for end in _ends(entry, "asr")]
    rates = [rate for rate in [*rates, *(point.asr for point in points)] if lowest is None or rate >= lowest]
    bottom, top = _limits(rates or [0.0, 1.0], logarithmic=False)
    few_ticks(axis, "y", bottom, min(top, 1 + 0.03 * (1 - bottom)) if bottom < 1 else top, logarithmic=False, most=5)


def _draw_tried(axis: Any, name: str, points: Sequence[Tried], look: Look, *, logarithmic: bool) -> None:
    visible = [point for point in points if point.metrics.get(name, math.nan) > 0 or not logarithmic]
    style = marker_style(look) | {"markersize": 2.5, "markeredgewidth": 0.6, "linestyle": look.line}
    x, y = [point.metrics.get(name, math.nan) for point in visible], [point.asr for point in visible]
    axis.plot(x, y, **style, linewidth=0.8, alpha=0.7)


def _draw_reported(axis: Any, name: str, entry: Entry, look: Look, *, logarithmic: bool) -> None:
    x, y = entry.estimate(name), entry.estimate("asr")
    if x.value is None or not defined(x.value) or (logarithmic and x.value <= 0):
        return
    if entry.label == CONTROL:
        axis.axvline(x.value, color=look.light, linestyle="--", linewidth=1)
    elif defined(y.value):
        style = marker_style(look) | {"markersize": 5, "markeredgewidth": 0.9}
        axis.errorbar(x.value, y.value, xerr=_bar(x, logarithmic), yerr=_bar(y), elinewidth=0.9, **style)


def _key(label: str, look: Look) -> Line2D:
    """The sign of a method in the legend."""
    if label == CONTROL:
        return Line2D([], [], color=look.light, linestyle="--", linewidth=1)
    return Line2D([], [], **(marker_style(look) | {"markersize": 4.5, "markeredgewidth": 0.9}))


def title_of(metric: Metric) -> str:
    """The name of a metric with its unit."""
    return f"{metric.title} ({metric.unit})" if metric.unit else metric.title


def _bar(estimate: Estimate, logarithmic: bool = False) -> list[list[float]] | None:
    """Lower and upper length of an error bar; on a logarithmic axis one that reaches zero runs off the panel."""
    if estimate.value is None or estimate.bounds is None:
        return None
    lower, upper = estimate.bounds
    down = max(estimate.value - lower, 0.0)
    down = min(down, estimate.value * (1 - 1e-9)) if logarithmic else down
    return [[down], [max(upper - estimate.value, 0.0)]]


def _ends(entry: Entry, name: str) -> list[float]:
    """The runs' values and the ends of the interval; nothing of a method that did not reach the target."""
    if not len(entry.runs):
        return []
    estimate = entry.estimate(name)
    return [*entry.values(name), *(end for end in (estimate.value, estimate.lower, estimate.upper) if end is not None)]


def _limits(ends: Sequence[float], logarithmic: bool) -> tuple[float, float]:
    """Limits that hold every value, with some room."""
    finite = [end for end in ends if np.isfinite(end)]
    positive = [end for end in finite if end > 0]
    if logarithmic and positive:
        low, high = min(positive), max(positive)
        room = max(1.25, (3 * low / high) ** 0.5)
        return low / room, high * room
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    margin = 0.08 * (high - low or 0.1)
    return low - margin, high + margin
