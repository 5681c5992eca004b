"""The figure of relearning: how fast the backdoor comes back after each repair, beside two clean models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from anchorlab.reports.drawing import WIDE, Look, Sheet, looks, marker_style, shorten, written_figure
from anchorlab.reports.lettering import in_lines
from anchorlab.reports.looks import LOOKS
from anchorlab.reports.suite.axes import bar_of, bar_style
from anchorlab.reports.suite.dots import has_intervals
from anchorlab.reports.suite.relearning import relearned_column, relearned_counts
from anchorlab.reports.suite.repairs import REMOVED, by_oracle, mean_by_reference
from anchorlab.statistics.counted import several
from anchorlab.statistics.references import mean_over_references

#: The clean reference that was not repaired: as the repaired one, but hollow and with a broken line.
_UNREPAIRED = LOOKS["reference"]._replace(filling="none", line="--")
#: The least width of a panel, its height, and the room for the labels of the vertical axis, inches.
_PANEL, _HEIGHT, _BESIDE = 1.25, 1.05, 0.5
#: How far apart methods stand at one number of examples, so that their intervals do not hide each other.
_APART = 0.09


def draw_relearning(repairs: pd.DataFrame, stem: Path, sheet: Sheet = WIDE, *, setting: str = "") -> None:
    """ASR by the number of triggered examples that a repaired model was tuned on: a panel a repair, oracles last.

    Each panel has a line for each method, for the clean reference after the same repair, and for the clean reference
    that was not repaired: means with intervals over references. With fewer than three references each run is drawn.

    Args:
        repairs: of a suite with ``relearn``, one task, trigger and number of the defender's examples.
        stem: the files to write, less their endings.
        sheet: what it is drawn on.
        setting: of what data and attack.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    counts = [0, *relearned_counts(repairs)]
    methods = sorted(dict.fromkeys(repairs["method"].astype(str)), key=lambda method: method == "reference")
    oracle = by_oracle(repairs)
    defences = list(dict.fromkeys([*repairs["defence"][~oracle], *repairs["defence"][oracle]]))
    look = looks(methods)
    across = sheet.across(len(defences), _PANEL, _BESIDE)
    down = -(-len(defences) // across)
    width = min(sheet.width, _BESIDE + across * 2.4)
    titles = [in_lines(shorten(str(name), 30), (width - _BESIDE) / across - 0.05, sheet.font) for name in defences]
    lines = max(title.count("\n") + 1 for title in titles)
    legend = [(Line2D([], [], **_line(look[method])), _name(method)) for method in methods]
    legend.append((Line2D([], [], **_line(_UNREPAIRED)), "clean reference, not repaired"))
    note, finding = _note(repairs, setting), _finding(repairs[~oracle], counts[1:])
    height = down * (_HEIGHT + sheet.line * (lines + 0.6)) + 3 * sheet.line
    with written_figure(stem, width, height, sheet, title=finding, note=note, legend=legend) as figure:
        axes = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        for axis in axes.flat[len(defences) :]:
            axis.set_visible(False)
        # Where the last line is not full, the panels above its gap are the lowest of their columns.
        for axis in axes.flat[max(len(defences) - across, 0) : len(defences)]:
            axis.tick_params(labelbottom=True)
            axis.set_xlabel(in_lines("triggered examples", (width - _BESIDE) / across - 0.05, sheet.font))
        for axis in axes[:, 0]:
            axis.set_ylabel("ASR")
        for defence, title, axis in zip(defences, titles, axes.flat, strict=False):
            runs = repairs[repairs["defence"] == defence].drop_duplicates("identity")
            _draw(axis, runs, counts, "_reference", 0.0, _UNREPAIRED)
            for number, method in enumerate(methods):
                shift = _APART * (number - (len(methods) - 1) / 2)
                _draw(axis, runs[runs["method"] == method], counts, "", shift, look[method])
            axis.set_title(title)
        axes[0, 0].set(xlim=(-0.35, len(counts) - 0.65), ylim=(-0.03, 1.03), yticks=(0, 0.5, 1))
        axes[0, 0].set_xticks(range(len(counts)), [str(count) for count in counts])


def _draw(axis: Any, runs: pd.DataFrame, counts: Sequence[int], of: str, shift: float, look: Look) -> None:
    """The line of one kind of models through its means, where something was measured."""
    places, means = [], []
    for place, count in enumerate(counts):
        column = f"{relearned_column(count)}{of}"
        known = runs.dropna(subset=column) if column in runs else runs[:0]
        estimate = mean_over_references(known[column], known["reference_seed"], "rate") if len(known) else None
        if estimate is None or estimate.value is None:
            continue
        at = place + shift
        places.append(at)
        means.append(estimate.value)
        if estimate.bounds is not None:
            axis.errorbar(at, estimate.value, yerr=bar_of(estimate), **bar_style(look) | {"capsize": 1.5})
        else:
            each = known[column].astype(float)
            axis.plot([at] * len(each), each, **marker_style(look) | {"markersize": 2, "alpha": 0.6})
    axis.plot(places, means, **_line(look), zorder=3, clip_on=False)


def _line(look: Look) -> dict[str, Any]:
    return marker_style(look) | {"markersize": 4, "markeredgewidth": 1.0, "linestyle": look.line, "linewidth": 1.1}


def _name(method: str) -> str:
    return "clean reference, same repair" if method == "reference" else shorten(method, 24)


def _note(repairs: pd.DataFrame, setting: str) -> str:
    oracles = repairs[by_oracle(repairs)]["defence"].unique()
    words = [f"{shorten(setting, 200)}."] if setting else []
    words.append("At 0: right after the repair.")
    words.append(
        "Mean and 95% interval over references." if has_intervals(repairs) else "Small signs: runs; large: their mean."
    )
    if len(oracles):
        names = ", ".join(shorten(str(name), 30) for name in oracles)
        words.append(f"The depth of {names} was chosen by test data and trigger, as no defender can.")
    return " ".join(words)


def _finding(repairs: pd.DataFrame, counts: Sequence[int]) -> str:
    """After which repair that removes the backdoor it comes back most, and least, beside the clean reference there."""
    count = counts[len(counts) // 2]
    column = relearned_column(count)
    attacked = repairs[(repairs["role"] == "method") & repairs[column].notna()]
    if not len(attacked):
        return ""
    at_once = _by_defence(attacked, "asr")
    means = {name: asr for name, asr in _by_defence(attacked, column).items() if at_once[name] < REMOVED}
    if not means:
        return f"No repair leaves an ASR under {REMOVED:g}"
    clean = _by_defence(repairs[(repairs["role"] == "reference") & repairs[column].notna()], column)

    def rates(defence: str) -> str:
        beside = f", clean reference {clean[defence]:.3f}" if defence in clean else ""
        return f"{shorten(defence, 22)} ({means[defence]:.3f}{beside})"

    most, least = (choose(means, key=means.__getitem__) for choose in (max, min))
    words = f"Of repairs that leave an ASR under {REMOVED:g}, {several(count, 'triggered example')}"
    if most == least:
        return f"{words} bring it back to {rates(most)}"
    return f"{words} bring it back most after {rates(most)}, least after {rates(least)}"


def _by_defence(rows: pd.DataFrame, column: str) -> dict[str, float]:
    """The mean of a column over references, by repair."""
    once = rows.drop_duplicates("identity")
    return {str(name): mean_by_reference(runs, column) for name, runs in once.groupby("defence", sort=False)}
