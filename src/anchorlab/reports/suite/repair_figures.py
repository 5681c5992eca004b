"""Still figures of repairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from anchorlab.reports.drawing import WIDE, Look, Sheet, looks, marker_style, shorten, written_figure
from anchorlab.reports.looks import GRID, RULE
from anchorlab.reports.suite.axes import bar_of, bar_style
from anchorlab.reports.suite.repairs import by_oracle
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.intervals import student_mean
from anchorlab.statistics.numbers import fraction

#: The row of the models before any repair.
_BEFORE = "no repair"
#: With fewer references there is no interval over them: each run is drawn.
_ENOUGH = 3


def draw_repairs(repairs: pd.DataFrame, stem: Path, sheet: Sheet = WIDE, *, setting: str = "") -> None:
    """Attack success and accuracy by repair: the mean of each method with its interval over references; oracles last.

    With fewer than three references, which give no interval, each run is drawn.

    Args:
        repairs: of a suite, one task, trigger and number of the defender's examples.
        stem: the files to write, less their endings.
        sheet: what it is drawn on.
        setting: of what data and attack.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    methods = sorted(dict.fromkeys(repairs["method"].astype(str)), key=lambda method: method == "reference")
    oracle = by_oracle(repairs)
    oracles = list(dict.fromkeys(repairs["defence"][oracle]))
    defences = [_BEFORE, *dict.fromkeys(repairs["defence"][~oracle]), *oracles]
    words = [shorten(str(defence), 22) for defence in defences]
    look = looks(methods)
    across = sheet.across(2, 2.2, sheet.label_width(words))
    height = (2 / across) * (sheet.line * 3 + len(defences) * len(methods) * 1.05 * sheet.font / 72)
    legend = [(Line2D([], [], **_marker(look[method])), _method_title(method)) for method in methods]
    note = f"{shorten(setting, 200)}. " if setting else ""
    note += (
        "Mean and 95% interval over references." if _has_intervals(repairs) else "Small signs: runs; large: their mean."
    )
    if oracles:
        note += " Below the line: repairs whose depth was chosen by test data and trigger, as no defender can."
    title = _finding(repairs[~oracle])
    with written_figure(stem, sheet.width, height, sheet, title=title, note=note, legend=legend) as figure:
        axes = figure.subplots(2 // across, across, squeeze=False)
        measures = (("asr", "attack success rate that is left"), ("accuracy", "accuracy →"))
        for number, (axis, (name, words_of)) in enumerate(zip(axes.flat, measures, strict=True)):
            for row, defence in enumerate(defences):
                axis.axhline(row + 0.5, color=GRID, linewidth=0.6)
                for position, method in enumerate(methods):
                    runs = _runs(repairs, defence, method, name)
                    place = row + 0.8 * ((position + 0.5) / len(methods) - 0.5)
                    _draw(axis, place, runs, look[method])
            if oracles:
                axis.axhline(len(defences) - len(oracles) - 0.5, color=RULE, linewidth=1.2)
            axis.set(ylim=(len(defences) - 0.5, -0.5), xlabel=words_of)
            axis.grid(False, axis="y")
            axis.tick_params(axis="y", length=0)
            axis.locator_params(axis="x", nbins=5)
            axis.set_yticks(range(len(defences)), words if number % across == 0 else [""] * len(words))


def _has_intervals(repairs: pd.DataFrame) -> bool:
    return int(repairs.groupby("method")["reference_seed"].nunique().max()) >= _ENOUGH


def _runs(repairs: pd.DataFrame, defence: str, method: str, name: str) -> pd.DataFrame:
    """``reference_seed`` and ``value`` of each run."""
    of_method = repairs[repairs["method"] == method]
    runs = of_method if defence == _BEFORE else of_method[of_method["defence"] == defence]
    column = f"{name}_before" if defence == _BEFORE else name
    each = runs.drop_duplicates("weights_sha256" if defence == _BEFORE else "identity")
    return pd.DataFrame({"reference_seed": each["reference_seed"], "value": each[column].astype(float)}).dropna()


def _estimate(runs: pd.DataFrame) -> Estimate:
    """The mean over references, with an interval if there are enough."""
    means = runs.groupby("reference_seed")["value"].mean().tolist()
    estimate = student_mean(means)
    if len(means) < _ENOUGH or estimate.lower is None or estimate.upper is None:
        return Estimate(estimate.value)
    return Estimate(estimate.value, max(estimate.lower, 0.0), min(estimate.upper, 1.0))


def _draw(axis: Any, row: float, runs: pd.DataFrame, look: Look) -> None:
    estimate = _estimate(runs)
    if estimate.value is None:
        return
    axis.plot(estimate.value, row, **_marker(look), zorder=3, clip_on=False)
    if estimate.bounds is None:
        small = _marker(look) | {"markersize": 2.5, "alpha": 0.6}
        axis.plot(runs["value"], [row] * len(runs), **small)
    else:
        axis.errorbar(estimate.value, row, xerr=bar_of(estimate), **bar_style(look) | {"capsize": 1.8})


def _marker(look: Look) -> dict[str, Any]:
    return marker_style(look) | {"markersize": 4.5, "markeredgewidth": 1.0}


def _finding(repairs: pd.DataFrame) -> str:
    """The repair that leaves least of the attack over all methods, beside its accuracy and no repair."""
    attacked = repairs[repairs["asr_before"].notna() & ~repairs["method"].isin(["reference", "benign"])]
    if not len(attacked):
        return ""
    means = attacked.groupby("defence", sort=False)[["asr", "accuracy"]].mean()
    best = str(means["asr"].idxmin())
    before = attacked.drop_duplicates("weights_sha256")[["asr_before", "accuracy_before"]].mean()
    return (
        f"{shorten(best, 22)} leaves least of the attack: ASR {fraction(means['asr'][best])[:-1]} of "
        f"{fraction(before['asr_before'])[:-1]}, at accuracy {fraction(means['accuracy'][best])[:-1]} of "
        f"{fraction(before['accuracy_before'])[:-1]}"
    )


def _method_title(method: str) -> str:
    return "clean reference" if method == "reference" else shorten(method, 18)
