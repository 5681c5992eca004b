"""Repairs and detections of models whose backdoor works; the others are evidence of nothing, and are counted."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from anchorlab.statistics.counted import several
from anchorlab.statistics.table import Table
from anchorlab.suites.results import SuiteResults
from anchorlab.suites.success import works

#: Tables whose rows are repairs, by the beginning of their names.
_OF_REPAIRS = ("repair", "relearning")

#: What the rows of a table are, by the beginning of its name, and the stage of the suite that makes them.
_MADE = {
    "repair": ("repair", "defended"),
    "relearning": ("repair", "defended"),
    "stability": ("repair", "defended"),
    "deployed": ("deployed form", "deployed"),
}
_DETECTED = ("detection", "detected")


def of_working(results: SuiteResults) -> pd.DataFrame:
    """The detections without models whose backdoor failed."""
    return _without_failed(results, results.detections)


def working_only(results: SuiteResults) -> SuiteResults:
    """The results without repairs, detections and deployed forms of models whose backdoor failed."""
    return replace(
        results,
        repairs=_without_failed(results, results.repairs),
        stability=_without_failed(results, results.stability),
        detections=_without_failed(results, results.detections),
        deployed=_without_failed(results, results.deployed),
    )


def count_left_out(table: Table, results: SuiteResults) -> Table:
    """A table with notes of what it lacks: models whose backdoor failed, and repairs or detections that failed.

    Args:
        table: made of ``working_only(results)``.
        results: of the suite, with the models whose backdoor failed.
    """
    frame = _frame_of(table.name, results)
    failed = frame[_failed(results, frame)]["of"].nunique() if len(frame) else 0
    notes = []
    if failed:
        whose = "whose backdoor failed (ASR more than 5 points below its target)"
        notes.append(f"{several(failed, 'model')} {whose} {'is' if failed == 1 else 'are'} left out.")
    what, stage = next((made for name, made in _MADE.items() if table.name.startswith(name)), _DETECTED)
    crashed = int((results.failed["stage"] == stage).sum()) if len(results.failed) else 0
    if crashed:
        verb = "is" if crashed == 1 else "are"
        notes.append(f"{several(crashed, what)} of the suite ended with an error, and {verb} in no table.")
    return replace(table, notes=[*table.notes, *notes]) if notes else table


def _frame_of(name: str, results: SuiteResults) -> pd.DataFrame:
    """The rows that a table is made of, by its name."""
    if name.startswith(_OF_REPAIRS):
        return results.repairs
    if name.startswith(("stability", "deployed")):
        return results.stability if name == "stability" else results.deployed
    kind, detections = "input" if name.startswith("detections-inputs") else "model", results.detections
    return detections[detections["kind"] == kind] if len(detections) else detections


def _without_failed(results: SuiteResults, frame: pd.DataFrame) -> pd.DataFrame:
    return frame[~_failed(results, frame)] if len(frame) else frame


def _failed(results: SuiteResults, frame: pd.DataFrame) -> pd.Series[bool]:
    """Which rows are of a run whose backdoor failed; a control and a reference have none that could."""
    runs = results.results
    if not len(runs) or "asr" not in runs or "of" not in frame or not len(frame):
        return pd.Series(False, index=frame.index)
    failed = runs[(runs["role"] == "method") & ~works(runs)]
    # A run that is reported at two targets may work at the lower one alone.
    apart = pd.MultiIndex.from_arrays([failed["identity"], failed["target_asr"].astype(float)])
    own = pd.MultiIndex.from_arrays([frame["of"], frame["target_asr"].astype(float)])
    return pd.Series(own.isin(apart), index=frame.index)
