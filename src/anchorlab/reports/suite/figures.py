"""Still figures of a suite: examples of triggers, and metrics by method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from anchorlab.metrics import METRICS
from anchorlab.reports.drawing import WIDE, Look, Sheet, looks, marker_style, shorten, written_figure
from anchorlab.reports.lettering import in_lines
from anchorlab.reports.looks import GRID, PAPER, SOFT
from anchorlab.reports.measures import DRAWN
from anchorlab.reports.suite.axes import axis_title, bar_of, bar_style, by_reference, ends_of, set_limits
from anchorlab.reports.suite.summary import Condition, Entry
from anchorlab.statistics.numbers import defined
from anchorlab.suites.examples import Examples

#: Runs of a method that a panel draws at most.
_MOST = 30

#: The background of words in a panel, which hides the grid.
_PAPER = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}


def triggered_examples(examples: Examples, stem: Path, sheet: Sheet = WIDE) -> None:
    """Clean inputs above the same inputs with the trigger, and the absolute difference.

    Args:
        examples: of images; C is 3 for colour, anything else is averaged to grey.
        stem: the files to write, less their endings.
        sheet: what it is drawn on.

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
    with written_figure(stem, min(1.1 + 1.1 * columns, sheet.width), 3.8, sheet) as figure:
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
            axis.set_title(shorten(examples.classes[label], 14))


def metrics_by_method(
    condition: Condition, stem: Path, sheet: Sheet = WIDE, names: Sequence[str] = DRAWN, note: str = ""
) -> None:
    """Metrics by method: each run, and mean with 95% interval; panels for each number of anchors.

    Where a mean has no interval, bars stand at the mean on each reference.

    Args:
        condition: the setting and target.
        stem: the files to write, less their endings.
        sheet: what it is drawn on.
        names: of the metrics.
        note: what a reader of this figure must know besides.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    labels, groups = condition.labels, condition.groups
    words = [shorten(label, 24) for label in labels]
    across = sheet.across(len(names), 1.3, sheet.label_width(words))
    parts = [names[start : start + across] for start in range(0, len(names), across)]
    em = sheet.font / 72
    height = len(groups) * len(parts) * (5.6 * em + 2.5 * em * len(labels))
    says = f"{condition.setting.words}; target ASR {condition.target_asr:g}; arrows point to the more consistent side. "
    says = shorten(says, 1000) + " ".join([_signs(condition, names), note])
    title = _finding(condition, names)
    with written_figure(stem, sheet.width, height, sheet, title=title, note=says.strip()) as figure:
        axes = figure.subplots(len(groups) * len(parts), across, sharey=True, squeeze=False)
        for (group, part), line in zip(_lines(condition, parts), axes, strict=True):
            line[0].set_title(group.title, loc="left", fontweight="bold")
            for axis in line[len(part) :]:
                axis.set_visible(False)
            for name, axis in zip(part, line, strict=False):
                ends = [end for other in groups for entry in other.entries for end in ends_of(entry, name)]
                set_limits(axis, "x", ends, METRICS[name].logarithmic)
                axis.set_xlabel(in_lines(axis_title(name), (sheet.width - 1) / across, sheet.font))
                axis.grid(False, axis="y")
                for entry in group.entries:
                    _draw_runs(axis, labels.index(entry.label), entry, name, looks(labels)[entry.label])
            line[0].set_yticks(range(len(labels)), words)
            line[0].set_ylim(len(labels) - 0.4, -0.6)


def _lines(condition: Condition, parts: Sequence[Sequence[str]]) -> Iterator[tuple[Any, Sequence[str]]]:
    return ((group, part) for group in condition.groups for part in parts)


def _finding(condition: Condition, names: Sequence[str]) -> str:
    """Which method has the best mean most often."""
    best: Counter[str] = Counter()
    count = 0
    for group in condition.groups:
        for name in names:
            means = {entry.label: entry.estimate(name).value for entry in group.of("method")}
            known = {label: mean for label, mean in means.items() if mean is not None and defined(mean)}
            if len(known) > 1 and METRICS[name].better:
                choose = min if METRICS[name].better == "lower" else max
                count += 1
                best[choose(known, key=lambda label: known[label])] += 1
    if not best:
        return ""
    (label, wins), *others = best.most_common()
    if others and others[0][1] == wins:
        return f"No method has the best mean in most of the {count} panels"
    return f"{shorten(label, 24)} has the best mean of all methods in {wins} of {count} panels"


def _signs(condition: Condition, names: Sequence[str]) -> str:
    made = [entry for group in condition.groups for entry in group.entries if len(entry.runs)]
    bounded = any(entry.estimate(name).bounds for entry in made for name in names)
    many = any(len(entry.runs) > _MOST for entry in made)
    runs = f"Small lines: runs, {_MOST} of each at most." if many else "Small lines: runs."
    if bounded:
        return f"{runs} Sign: mean. Bar: 95% interval."
    if len({seed for entry in made for seed in entry.runs["reference_seed"]}) < 2:
        return f"{runs} Sign: mean over the runs on one reference, which gives no interval."
    return f"{runs} Sign: mean. Bar: from the mean on one reference to another's; so few give no interval."


def _thinned(values: list[float]) -> list[float]:
    """At most so many values, evenly by rank: thousands would make a page too large."""
    if len(values) <= _MOST:
        return values
    return [float(value) for value in np.quantile(values, np.linspace(0, 1, _MOST), method="nearest")]


def _draw_runs(axis: Any, row: int, entry: Entry, name: str, look: Look) -> None:
    """The runs of one method as short lines, and above them mean and interval, or words that say why there are none."""
    logarithmic = axis.get_xscale() == "log"
    estimate = entry.estimate(name)
    axis.axhline(row + 0.5, color=GRID, linewidth=0.6)
    values = [value for value in entry.values(name) if value > 0 or not (logarithmic or np.isnan(value))]
    values = _thinned(values)
    # One path of short lines: a sign of its own for each run would make files ten times as large.
    x, y = (np.array([ends] * len(values)).reshape(-1, 3) for ends in ((0, 0, np.nan), (row + 0.25, row + 0.4, np.nan)))
    axis.plot((x + np.array(values)[:, None]).ravel(), y.ravel(), color=look.light, alpha=0.7, linewidth=0.9)
    if len(entry.runs) == 0:
        remark = "not reached"
    elif not defined(estimate.value):
        remark = "undefined"
    elif logarithmic and estimate.value == 0:
        remark = "0"
    else:
        # Above its interval, so that it never hides it.
        axis.plot(estimate.value, row - 0.2, **marker_style(look) | {"markersize": 5})
        ends = by_reference(entry, name)
        if estimate.bounds is not None:
            axis.errorbar(estimate.value, row + 0.06, xerr=bar_of(estimate, logarithmic), **bar_style(look))
        elif len(ends) > 1 and estimate.value is not None:
            reach = [[estimate.value - min(ends)], [max(ends) - estimate.value]]
            axis.errorbar(estimate.value, row + 0.06, xerr=np.maximum(reach, 0), **bar_style(look))
        return
    axis.text(0.03, row, remark, transform=axis.get_yaxis_transform(), va="center", color=SOFT, bbox=_PAPER)
