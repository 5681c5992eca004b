"""What a suite's repairs did, as tables: means over runs with intervals, by method."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from anchorlab.metrics import METRICS
from anchorlab.repairs.oracles import is_oracle
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.intervals import student_mean
from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table, estimate_cell
from anchorlab.suites.results import SuiteResults

#: What a repair is judged by, in the order of tables; and the heading of each.
_JUDGED = {"asr": "ASR", "accuracy": "accuracy", "kl": "KL", "churn": "churn"}

#: What the clean reference is called among methods.
_REFERENCE = "reference"


def split_into_parts(frame: pd.DataFrame, by: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Parts of repairs or detections in which each method has one run a reference and seed, with titles.

    Numbers of anchors and target ASRs that a suite has several of are parts of their own; controls and references,
    which serve several, are in each.

    Args:
        frame: of a suite.
        by: further columns whose values make parts: ``task`` and ``trigger``, and ``defender`` if it matters.
    """
    sizes, targets = (frame[name][frame["role"] == "method"].nunique() for name in ("anchors_asked", "target_asr"))
    for names, here in frame.groupby(by, sort=False):
        words = [str(name) for name in names]
        if "defender" in by:
            words[by.index("defender")] += " of the defender's examples"
        methods = here[here["role"] == "method"]
        every = list(methods[["anchors_asked", "target_asr"]].drop_duplicates().itertuples(index=False))
        for size, target in every:
            serves = here["anchors_asked"].isin([size, ""]) & (
                here["target_asr"].isna() | (here["target_asr"] == target)
            )
            more = [f"{size} anchors"] * (sizes > 1) + [f"target ASR {target:g}"] * (targets > 1)
            yield ", ".join([*words, *more]), here[serves]
        if not every:
            yield ", ".join(words), here


def repairs_tables(results: SuiteResults) -> list[Table]:
    """For each measurement a table: a row for each repair, a column for each method, the clean reference last."""
    frame = results.repairs
    if not len(frame):
        return []
    return [_repairs_table(frame, name) for name in _JUDGED]


def _repairs_table(frame: pd.DataFrame, name: str) -> Table:
    methods = sorted(dict.fromkeys(frame["method"]), key=lambda method: method == _REFERENCE)
    groups = []
    for title, part in split_into_parts(frame, ["task", "trigger", "defender"]):
        # A model before its repairs stands beside each of them, and counts once.
        before = part.drop_duplicates(["method", "weights_sha256"])
        first = Row("no repair", [_mean(before[before["method"] == m], f"{name}_before", name) for m in methods])
        oracle = by_oracle(part)
        groups.append(Rows([first, *_rows(part[~oracle], methods, name)], title))
        if oracle.any():
            apart = f"{title}; depth chosen by test data and trigger, as no defender can"
            groups.append(Rows(_rows(part[oracle], methods, name), apart))
    runs = int(frame.groupby(["defence", "method", "trigger"])["identity"].nunique().max())
    meaning = {
        "asr": "what is left of the attack",
        "accuracy": "on clean test instances",
        "kl": "of the repaired model from the clean reference",
        "churn": "predictions that differ from the clean reference's",
    }[name]
    title = _JUDGED[name]
    return Table(
        name=f"repairs-{name}",
        caption=f"{title[0].upper()}{title[1:]} after each repair: {meaning}; mean over runs and 95% interval.",
        head="repair",
        columns=[Column(method, "clean reference" if method == _REFERENCE else method) for method in methods],
        groups=groups,
        notes=[
            f"At most {runs} runs stand behind a cell; intervals are Student's t over them, and wide if they are few. "
            "The column of the clean reference shows what a repair does to a model that had no backdoor."
        ],
    )


def _rows(part: pd.DataFrame, methods: list[str], name: str) -> list[Row]:
    return [
        Row(str(defence), [_mean(here[here["method"] == method], name, name) for method in methods])
        for defence, here in part.groupby("defence", sort=False)
    ]


def by_oracle(repairs: pd.DataFrame) -> pd.Series:
    """Which repairs are in the oracle's form, bool; they are shown apart."""
    return repairs["defence_name"].astype(str).map(is_oracle).astype(bool)


def _mean(rows: pd.DataFrame, column: str, measure: str) -> Cell:
    if not len(rows):
        return NONE
    estimate = student_mean(rows.drop_duplicates("identity")[column].tolist())
    return cell_of(estimate, measure)


def cell_of(estimate: Estimate, measure: str) -> Cell:
    """An estimate as a cell, written as a measure of ``METRICS`` is, with its interval."""
    write = METRICS[measure].write
    if measure == "kl":
        return estimate_cell(estimate, lambda value: write(max(value, 0.0)))
    if estimate.lower is not None and estimate.upper is not None:
        estimate = Estimate(estimate.value, max(estimate.lower, 0.0), min(estimate.upper, 1.0))
    return estimate_cell(estimate, write)
