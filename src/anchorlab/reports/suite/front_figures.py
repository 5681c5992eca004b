"""Still figures of attack success against consistency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from anchorlab.metrics import METRICS
from anchorlab.reports.drawing import CONTROL, WIDE, Look, Sheet, looks, marker_style, shorten, written_figure
from anchorlab.reports.looks import PAPER, RULE, SOFT
from anchorlab.reports.suite.axes import axis_title, bar_of, bar_style, by_reference, ends_of, set_limits
from anchorlab.reports.suite.fronts import Tried, lowest_shown
from anchorlab.reports.suite.summary import Condition, Entry
from anchorlab.statistics.numbers import defined

#: A reported run at several scales: thin and pale, because there may be many.
_WALK: dict[str, Any] = {"marker": "", "linestyle": "-", "linewidth": 0.5, "alpha": 0.5}
_CONTROL_LINE: dict[str, Any] = {"linestyle": "--", "linewidth": 1.2}
#: Sizes of the markers of the lowest and of the highest target.
_SIZES = (4.0, 7.0)

#: Size to method to its lines, see ``anchorlab.reports.suite.fronts``.
Fronts = Mapping[str, Mapping[str, Sequence[Sequence[Tried]]]]


def asr_against(
    name: str,
    fronts: Fronts,
    conditions: Sequence[Condition],
    stem: Path,
    sheet: Sheet = WIDE,
    note: str = "",
    walks: Fronts | None = None,
) -> None:
    """Attack success against a metric of the clean behaviour; the attacker wants to be in the marked corner.

    Dots joined by lines are the strengths tried, on ``selection``. Markers with bars are the reported means, on
    ``test``, the larger the higher the target. The benign update has no backdoor and is a line at its mean.

    Args:
        name: of the metric.
        fronts: what was tried.
        conditions: the conditions of one setting, one for each target.
        stem: the files to write, less their endings.
        sheet: what it is drawn on.
        note: what a reader of this figure must know besides.
        walks: reported runs at several scales, on ``test``: a thin line for each.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    titles = {group.asked: group.title for condition in conditions for group in condition.groups}
    labels = list(dict.fromkeys(label for condition in conditions for label in condition.labels))
    drawn, sizes = looks(labels), _sizes([condition.target_asr for condition in conditions])
    walks = {} if walks is None else walks
    points = _points(fronts)  # walks may leave the panel: one that falls far would squeeze the rest
    lowest = lowest_shown([condition.target_asr for condition in conditions], [point.asr for point in points])
    across = sheet.across(len(titles), 2.2)
    down = -(-len(titles) // across)
    legend = [_key(label, drawn[label]) for label in labels]
    says = " ".join([_signs(conditions, lowest, walks=bool(_points(walks))), note]).strip()
    title = _finding(name, conditions)
    with written_figure(stem, sheet.width, 2.7 * down, sheet, title=title, note=says, legend=legend) as figure:
        axes = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        for axis in axes.flat[len(titles) :]:
            axis.set_visible(False)
        panels = dict(zip(titles, axes.flat, strict=False))
        reported = [entry for condition in conditions for group in condition.groups for entry in group.entries]
        _scale(axes[0, 0], name, reported, points, lowest)
        for asked, axis in panels.items():
            _mark_corner(axis, name)
            for label, runs in walks.get(asked, {}).items():
                for run in runs if label in drawn else []:
                    _draw_tried(axis, name, run, drawn[label], **_WALK)
            for label, parts in fronts.get(asked, {}).items():
                for part in parts if label in drawn else []:
                    _draw_tried(axis, name, part, drawn[label])
            axis.set(xlabel=axis_title(name), title=titles[asked])
        for condition in conditions:
            for axis in panels.values():
                axis.axhline(condition.target_asr, color=RULE, linewidth=0.8, linestyle=":")
            for group in condition.groups:
                for entry in group.entries:
                    _draw_reported(panels[group.asked], name, entry, drawn[entry.label], sizes[condition.target_asr])
        for line in axes:
            line[0].set_ylabel("attack success rate →")


def _sizes(targets: Sequence[float]) -> dict[float, float]:
    """The size of the markers of each target."""
    ordered = sorted(set(targets))
    if len(ordered) == 1:
        return {ordered[0]: 5.5}
    steps = np.linspace(*_SIZES, len(ordered))
    return {target: float(size) for target, size in zip(ordered, steps, strict=True)}


def _finding(name: str, conditions: Sequence[Condition]) -> str:
    """The method of the best mean at the highest target that any two methods reached, with most anchors."""
    for condition in sorted(conditions, key=lambda condition: -condition.target_asr):
        for group in reversed(condition.groups):
            means = {entry.label: entry.estimate(name).value for entry in group.of("method")}
            known = {label: mean for label, mean in means.items() if mean is not None and defined(mean)}
            if len(known) > 1 and METRICS[name].better:
                lower = METRICS[name].better == "lower"
                best = (min if lower else max)(known, key=lambda label: known[label])
                write = METRICS[name].write
                beside = f", against {write(known['plain'])} of plain" if "plain" in known and best != "plain" else ""
                return (
                    f"Target ASR {condition.target_asr:g}, {group.title}, each method at its own ASR: "
                    f"{shorten(best, 24)} has the {'lowest' if lower else 'highest'} mean {METRICS[name].title}, "
                    f"{write(known[best])}{beside}"
                )
    return ""


def _points(fronts: Fronts) -> list[Tried]:
    return [point for lines in fronts.values() for line in lines.values() for part in line for point in part]


def _signs(conditions: Sequence[Condition], lowest: float | None, *, walks: bool) -> str:
    targets = [f"{condition.target_asr:g}" for condition in conditions]
    made = [entry for condition in conditions for group in condition.groups for entry in group.entries]
    bounded = any(entry.estimate("asr").bounds for entry in made)
    larger = f", the larger the higher the target ({' and '.join(targets)}, dotted)" if len(targets) > 1 else ""
    sentences = [
        shorten(f"{conditions[0].setting.words}.", 1000) if conditions else "",
        "Lines with dots: strengths tried, on selection.",
        "Thin lines: single reported runs at their other scales, on test, as far as the panel goes." if walks else "",
        f"Signs: means on test{larger}, with "
        + ("95% intervals." if bounded else "bars from one reference's mean to another's."),
        "An interval that is not seen is smaller than its sign." if bounded else "",
        f"Dotted: the target, {targets[0]}." if len(targets) == 1 else "",
        "Dashed: the benign update, which has no backdoor." if any(entry.label == CONTROL for entry in made) else "",
        "" if lowest is None else f"Strengths with rates below {lowest:g} lie outside.",
    ]
    return " ".join(filter(None, sentences))


def _scale(axis: Any, name: str, reported: Sequence[Entry], points: Sequence[Tried], lowest: float | None) -> None:
    """Limits that hold every run, interval and strength tried, but no strength with a success rate below ``lowest``."""
    values = [end for entry in reported for end in ends_of(entry, name)]
    shown = [point for point in points if lowest is None or point.asr >= lowest]
    set_limits(axis, "x", [*values, *(point.metrics.get(name, np.nan) for point in shown)], METRICS[name].logarithmic)
    ends = [entry.estimate("asr") for entry in reported if entry.label != CONTROL]
    rates = [end for one in ends for end in (one.value, one.lower, one.upper) if end is not None]
    rates += [end for entry in reported if entry.label != CONTROL for end in by_reference(entry, "asr")]
    set_limits(axis, "y", [*rates, *(point.asr for point in shown)])
    bottom, top = axis.get_ylim()
    axis.set_ylim(top=min(top, 1.0 + 0.08 * (1.0 - bottom)))


def _mark_corner(axis: Any, name: str) -> None:
    """An arrow into the corner that the attacker wants."""
    if not METRICS[name].better:
        return
    at, side = (0.015, 1) if METRICS[name].better == "lower" else (0.985, -1)
    axis.annotate(
        "better",
        (at, 0.985),
        (at + side * 0.09, 0.86),
        xycoords="axes fraction",
        textcoords="axes fraction",
        ha="left" if side > 0 else "right",
        va="center",
        color=SOFT,
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.5, "alpha": 0.85},
        zorder=5,
        arrowprops={"arrowstyle": "->", "color": SOFT, "linewidth": 1.0},
    )


def _draw_tried(axis: Any, name: str, points: Sequence[Tried], look: Look, **style: Any) -> None:
    logarithmic = METRICS[name].logarithmic
    visible = [point for point in points if point.metrics.get(name, np.nan) > 0 or not logarithmic]
    x, y = [point.metrics.get(name, np.nan) for point in visible], [point.asr for point in visible]
    usual = {"marker": ".", "markersize": 4, "linestyle": look.line, "linewidth": 0.9, "alpha": 0.75}
    axis.plot(x, y, color=look.light, **usual | style)


def _draw_reported(axis: Any, name: str, entry: Entry, look: Look, size: float) -> None:
    """The mean with bars both ways, or a line for the control, if the axis can show it."""
    logarithmic = METRICS[name].logarithmic
    x, y = entry.estimate(name), entry.estimate("asr")
    if x.value is None or not defined(x.value) or (logarithmic and x.value <= 0):
        return
    if entry.label == CONTROL:
        axis.axvline(x.value, **_CONTROL_LINE, color=look.light)
        return
    if y.value is None or not defined(y.value):
        return
    axis.plot(x.value, y.value, **marker_style(look) | {"markersize": size}, zorder=3)
    if y.bounds is not None:
        axis.errorbar(x.value, y.value, xerr=bar_of(x, logarithmic), yerr=bar_of(y), **bar_style(look))
    elif len(by_reference(entry, name)) > 1:
        bars = [
            np.maximum([[mean - min(ends)], [max(ends) - mean]], 0)
            for mean, ends in ((x.value, by_reference(entry, name)), (y.value, by_reference(entry, "asr")))
        ]
        axis.errorbar(x.value, y.value, xerr=bars[0], yerr=bars[1], **bar_style(look))


def _key(method: str, look: Look) -> tuple[Line2D, str]:
    """The method's sign and name in a legend."""
    if method == CONTROL:
        return Line2D([], [], **_CONTROL_LINE, color=look.light), shorten(method, 24)
    return Line2D([], [], **marker_style(look)), shorten(method, 24)
