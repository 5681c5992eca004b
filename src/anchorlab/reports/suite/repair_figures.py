"""Still figures of repairs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from anchorlab.reports.drawing import WIDE, Sheet, looks, shorten, written_figure
from anchorlab.reports.looks import RULE
from anchorlab.reports.suite.dots import draw_rows, has_intervals, legend_of_methods
from anchorlab.reports.suite.repairs import by_oracle, mean_by_reference

#: The row of the models before any repair.
_BEFORE = "no repair"


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
    words = [shorten(str(defence), 24) for defence in defences]
    look = looks(methods)
    across = sheet.across(2, 2.2, sheet.label_width(words))
    height = (2 / across) * (sheet.line * 3 + len(defences) * len(methods) * 1.05 * sheet.font / 72)
    note = f"{shorten(setting, 200)}. " if setting else ""
    note += (
        "Mean and 95% interval over references." if has_intervals(repairs) else "Small signs: runs; large: their mean."
    )
    if oracles:
        note += " Below the line: repairs whose depth was chosen by test data and trigger, as no defender can."
    legend, title = legend_of_methods(methods, look), _finding(repairs[~oracle])
    with written_figure(stem, sheet.width, height, sheet, title=title, note=note, legend=legend) as figure:
        axes = figure.subplots(2 // across, across, squeeze=False)
        measures = (("asr", "attack success rate that is left"), ("accuracy", "accuracy →"))
        for number, (axis, (name, words_of)) in enumerate(zip(axes.flat, measures, strict=True)):
            rows = [{method: _runs(repairs, defence, method, name) for method in methods} for defence in defences]
            draw_rows(axis, rows, methods, look)
            if oracles:
                axis.axhline(len(defences) - len(oracles) - 0.5, color=RULE, linewidth=1.2)
            axis.set_xlabel(words_of)
            axis.set_yticks(range(len(defences)), words if number % across == 0 else [""] * len(words))


def _runs(repairs: pd.DataFrame, defence: str, method: str, name: str) -> pd.DataFrame:
    """``reference_seed`` and ``value`` of each run."""
    of_method = repairs[repairs["method"] == method]
    runs = of_method if defence == _BEFORE else of_method[of_method["defence"] == defence]
    column = f"{name}_before" if defence == _BEFORE else name
    each = runs.drop_duplicates("weights_sha256" if defence == _BEFORE else "identity")
    return pd.DataFrame({"reference_seed": each["reference_seed"], "value": each[column].astype(float)}).dropna()


def _finding(repairs: pd.DataFrame) -> str:
    """The repair that leaves least of the attack over all methods, beside its accuracy and no repair."""
    attacked = repairs[repairs["asr_before"].notna() & ~repairs["method"].isin(["reference", "benign"])]
    if not len(attacked):
        return ""
    by_defence = attacked.drop_duplicates("identity").groupby("defence", sort=False)
    runs = {str(defence): of_one for defence, of_one in by_defence}
    best = str(pd.Series({defence: mean_by_reference(of_one, "asr") for defence, of_one in runs.items()}).idxmin())
    models = attacked.drop_duplicates("weights_sha256")
    asr, accuracy = (
        f"{mean_by_reference(runs[best], name):.3f} of {mean_by_reference(models, f'{name}_before'):.3f}"
        for name in ("asr", "accuracy")
    )
    return f"{shorten(best, 22)} leaves least of the attack: ASR {asr}, at accuracy {accuracy}"
