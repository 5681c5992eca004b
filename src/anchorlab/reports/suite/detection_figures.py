"""Still figures of detectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from anchorlab.reports.drawing import WIDE, Sheet, looks, shorten, written_figure
from anchorlab.reports.lettering import in_lines
from anchorlab.reports.looks import RULE, SOFT
from anchorlab.reports.suite.detections import FoundTriggers, ShownTrigger
from anchorlab.reports.suite.dots import draw_rows, has_intervals, legend_of_methods
from anchorlab.reports.suite.repairs import mean_by_reference
from anchorlab.reports.suite.rocs import Roc
from anchorlab.statistics.estimate import Estimate

#: A picture of a trigger and its words, inches.
_CELL = 1.2


def draw_roc_curves(
    panels: Mapping[str, Mapping[str, Roc]], stem: Path, sheet: Sheet = WIDE, *, of: str, setting: str = ""
) -> None:
    """ROC curves, with bands where there are any: a panel for each detector, a line for each method, with its AUROC.

    Args:
        panels: method to detector to its curve.
        stem: the files to write, less their endings.
        sheet: what it is drawn on.
        of: the inputs or models that the FPR is a share of, in words.
        setting: of what data and attack; empty if the suite has one.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    detectors = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    look = looks(list(panels))
    across = sheet.across(len(detectors), 2.2)
    down = -(-len(detectors) // across)
    note = f"{shorten(setting, 200)}. " if setting else ""
    banded = any(roc.band is not None for curves in panels.values() for roc in curves.values())
    note += f"{'Pointwise 95% bands; ' if banded else ''}AUROC with 95% intervals. {_counts(panels)}."
    legend = [
        (Line2D([], [], color=look[method].light, linestyle=_line(number)), shorten(method, 24))
        for number, method in enumerate(panels)
    ]
    width = sheet.width / across
    height = down * (min(width, 2.8) + sheet.line * (4 + len(panels)))
    title = _best_detector(panels)
    with written_figure(stem, sheet.width, height, sheet, title=title, note=note, legend=legend) as figure:
        axes = figure.subplots(down, across, squeeze=False)
        for axis in axes.flat[len(detectors) :]:
            axis.set_visible(False)
        for detector, axis in zip(detectors, axes.flat, strict=False):
            axis.plot([0, 1], [0, 1], color=RULE, linewidth=0.8, linestyle=":")
            areas = []
            for number, (method, curves) in enumerate(panels.items()):
                if detector not in curves:
                    continue
                roc, style = curves[detector], {"color": look[method].light, "linestyle": _line(number)}
                areas.append((Line2D([], [], **style), _area(roc.area)))
                axis.plot(roc.false, roc.true, **style, linewidth=1.6)
                if roc.band is not None:
                    axis.fill_between(*roc.band, color=look[method].light, alpha=0.1, linewidth=0, step="post")
            axis.set(title=shorten(detector, 24), aspect="equal", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
            axis.set(xticks=(0, 0.5, 1), yticks=(0, 0.5, 1), ylabel="TPR")
            axis.set_xlabel(in_lines(f"FPR (share of {of})", width - 0.6, sheet.font))
            handles, words = zip(*areas, strict=True)
            below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.36), "handlelength": 1.8}
            axis.legend(handles, words, title="AUROC", **below)


def draw_areas(detections: pd.DataFrame, stem: Path, sheet: Sheet = WIDE, *, setting: str = "") -> None:
    """AUROC, and TPR at an FPR of 1% on the defender's data, of detectors of inputs: means with intervals by method.

    It needs no score of any input, only the record of each run.

    Args:
        detections: by detectors of inputs, one task, trigger and number of the defender's examples.
        stem: the files to write, less their endings.
        sheet: what it is drawn on.
        setting: of what data and attack.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    methods, detectors = (list(dict.fromkeys(detections[name].astype(str))) for name in ("method", "detector"))
    look, words = looks(methods), [shorten(detector, 22) for detector in detectors]
    across = sheet.across(2, 2.2, sheet.label_width(words))
    height = (2 / across) * (sheet.line * 3 + len(detectors) * len(methods) * 1.5 * sheet.font / 72)
    note = f"{shorten(setting, 200)}. " if setting else ""
    note += (
        "Mean and 95% interval over references." if has_intervals(detections) else "Small signs: runs; large: means."
    )
    by_detector = detections.drop_duplicates("identity").groupby("detector", sort=False)
    means = pd.Series({detector: mean_by_reference(runs, "auroc") for detector, runs in by_detector})
    title = f"Best detector of triggered inputs: {shorten(str(means.idxmax()), 22)}, mean AUROC {means.max():.2f}"
    legend = legend_of_methods(methods, look)
    with written_figure(stem, sheet.width, height, sheet, title=title, note=note, legend=legend) as figure:
        axes = figure.subplots(2 // across, across, squeeze=False)
        measures = (("auroc", "AUROC →"), ("tpr_at_1", "TPR →, threshold at 1% of clean examples"))
        for number, (axis, (name, title_of)) in enumerate(zip(axes.flat, measures, strict=True)):
            of_each = detections.drop_duplicates("identity").assign(value=detections[name].astype(float))
            rows = [
                {str(method): runs[["reference_seed", "value"]].dropna() for method, runs in part.groupby("method")}
                for _, part in of_each.groupby("detector", sort=False)
            ]
            draw_rows(axis, rows, methods, look)
            axis.set_xlabel(in_lines(title_of, sheet.width / across - 0.8, sheet.font))
            axis.set_yticks(range(len(words)), words if number % across == 0 else [""] * len(words))


def _counts(panels: Mapping[str, Mapping[str, Roc]]) -> str:
    """Of what the curves were made; for each method where that differs."""
    by_method = {shorten(method, 24): next(iter(rocs.values())).counts for method, rocs in panels.items()}
    if len(set(by_method.values())) == 1:
        return f"Each of {next(iter(by_method.values()))}"
    return "; ".join(f"{method}: {counts}" for method, counts in by_method.items())


def _line(number: int) -> Any:
    """The line of each method, besides its colour."""
    return ("-", "--", "-.", ":", (0, (6, 2)), (0, (1, 1)))[number % 6]


def _area(area: Estimate) -> str:
    return area.text(lambda value: f"{min(max(value, 0.0), 1.0):.2f}")


def _best_detector(panels: Mapping[str, Mapping[str, Roc]]) -> str:
    """The largest AUROC, and the method whose best detector has the smallest."""
    best = {
        method: max(((roc.area.value or 0.0, name) for name, roc in curves.items()), default=(0.0, ""))
        for method, curves in panels.items()
    }
    if not best:
        return ""
    hardest = min(best, key=lambda method: best[method][0])
    easiest = max(best, key=lambda method: best[method][0])
    area, name = best[easiest]
    words = f"Best AUROC: {area:.2f}, of {shorten(name, 24)} against {shorten(easiest, 24)}"
    lowest, name = best[hardest]
    if f"{lowest:.2f}" == f"{area:.2f}":
        return words
    return f"{words}; against {shorten(hardest, 24)} at best {lowest:.2f}, of {shorten(name, 24)}"


def draw_found_triggers(triggers: FoundTriggers, stem: Path, sheet: Sheet = WIDE) -> None:
    """The true trigger beside the triggers that detectors found in a model of each method.

    Args:
        triggers: the triggers of one task and true trigger.
        stem: the files to write, less their endings.
        sheet: what it is drawn on.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    columns = ["true trigger", *triggers.columns]
    names = {method: "clean reference" if method == "reference" else shorten(method, 18) for method in triggers.rows}
    room = sheet.label_width(names.values())
    across = sheet.across(len(columns), _CELL, room)
    parts = [columns[start : start + across] for start in range(0, len(columns), across)]
    width = min(sheet.width, room + across * 1.5)
    heads = [
        [in_lines(shorten(head.replace("\n", " "), 60), (width - room) / across - 0.1, sheet.font) for head in part]
        for part in parts
    ]
    lines = [1 + max(head.count("\n") for head in part) for part in heads]
    height = sum(sheet.line * (most + 1) + len(names) * (_CELL + sheet.line) for most in lines)
    with written_figure(stem, width, height, sheet, title=_how_many(triggers)) as figure:
        axes = figure.subplots(len(parts) * len(names), across, squeeze=False)
        for line, (method, part, head) in zip(axes, _rows(triggers, parts, heads), strict=True):
            # At the same distance from the pictures in every row, whatever they are.
            line[0].text(-0.12, 0.5, names[method], transform=line[0].transAxes, ha="right", va="center")
            for axis, column in zip(line, part, strict=False):
                found = triggers.rows[method].get(column)
                # A model without a backdoor has no true trigger.
                shown = None if method in ("reference", "benign") else triggers.true
                _draw(axis, shown if column == columns[0] else found)
            for axis in line[len(part) :]:
                axis.set_visible(False)
            for axis, title in zip(line, head, strict=False):
                axis.set_title(title)


def _rows(
    triggers: FoundTriggers, parts: Sequence[Sequence[str]], heads: Sequence[Sequence[str]]
) -> Iterator[tuple[str, Sequence[str], Sequence[str]]]:
    """Method, columns, and headings above the first row of each part."""
    for part, head in zip(parts, heads, strict=True):
        for number, method in enumerate(triggers.rows):
            yield method, part, head if number == 0 else ()


def _how_many(triggers: FoundTriggers) -> str:
    """In how many models with a backdoor a detector's most suspicious class is the target."""
    if triggers.true is None or not triggers.true.label:
        return ""
    attacked = [row for method, row in triggers.rows.items() if method not in ("reference", "benign")]
    first = [trigger for row in attacked for column, trigger in row.items() if column.endswith("most suspicious")]
    if not first:
        return ""
    right = sum(trigger.label == triggers.true.label for trigger in first)
    models = "the model" if len(first) == 1 else f"{len(first)} searches in models with a backdoor"
    return (
        f"In {right} of {models}, the most suspicious class is the target"
        if len(first) > 1
        else (f"The most suspicious class is {'' if right else 'not '}the target")
    )


def _draw(axis: Any, trigger: ShownTrigger | None) -> None:
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    if trigger is None:
        axis.spines[:].set_visible(False)
        axis.imshow(np.ones((1, 1)), alpha=0)  # a square as large as the pictures
        axis.text(0.5, 0.5, "none", ha="center", va="center", color=SOFT, transform=axis.transAxes)
        return
    pixels = trigger.picture.float() / 255
    image = pixels.permute(1, 2, 0) if len(pixels) == 3 else pixels.mean(dim=0)
    axis.imshow(image.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    axis.set_xlabel(f"to {shorten(trigger.label, 14)}" if trigger.label else "")
