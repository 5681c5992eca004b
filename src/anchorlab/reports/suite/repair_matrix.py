"""The matrix of repairs by injections: ASR left, accuracy, and the ASR relearned from a few triggered examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from anchorlab.reports.suite.interval_words import of_references
from anchorlab.reports.suite.relearning import relearned_column, relearned_counts
from anchorlab.reports.suite.repairs import by_oracle, mean_cell, split_into_parts
from anchorlab.statistics.counted import several
from anchorlab.statistics.table import Cell, Column, Row, Rows, Table
from anchorlab.suites.results import SuiteResults


def repair_matrix(results: SuiteResults) -> Iterator[Table]:
    """One table: a row for each repair, three columns for each injection and for the clean reference.

    Nothing where no repaired model was relearned: then the tables of ASR and accuracy say all.
    """
    frame = results.repairs
    counts = relearned_counts(frame)
    injections = list(dict.fromkeys(frame.loc[frame["role"] == "method", "method"])) if counts else []
    if not injections:
        return
    count = counts[len(counts) // 2]
    column = relearned_column(count)
    methods = [*injections, "reference"]
    groups = []
    for title, part in split_into_parts(frame, ["task", "trigger", "defender"]):
        # The rows of every repair repeat the model before it; it counts once. A clean one was relearned, too.
        before = part.drop_duplicates(["method", "weights_sha256"])
        names = ("asr_before", "accuracy_before", "")
        cells = [cell for method in injections for cell in _cells(before, method, names)]
        cells += _cells(before, "reference", (*names[:2], f"{column}_reference"))
        oracle = by_oracle(part)
        first = [Row("no repair", cells)]
        groups.append(Rows(first + _rows(part[~oracle], methods, column), title))
        if oracle.any():
            apart = f"{title}; depth chosen by test data and trigger, as no defender can"
            groups.append(Rows(_rows(part[oracle], methods, column), apart))
    references = frame.groupby(["defence", "method", "trigger", "task"])["reference_seed"].nunique()
    yield Table(
        name="repairs-matrix",
        caption="Repairs by injections: the ASR that is left, the accuracy, and the ASR after relearning.",
        head="repair",
        columns=[each for method in methods for each in _columns(method, count)],
        groups=groups,
        notes=[
            f"Relearned: after a little tuning with {several(count, 'triggered example')}. Any model can learn a "
            "trigger, so that it means something beside the clean reference's after the same repair.",
            of_references(references.min(), references.max(), groups),
        ],
    )


def _rows(part: pd.DataFrame, methods: Sequence[str], column: str) -> list[Row]:
    names = ("asr", "accuracy", column)
    return [
        Row(str(repair), [cell for method in methods for cell in _cells(runs, method, names)])
        for repair, runs in part.groupby("defence", sort=False)
    ]


def _cells(runs: pd.DataFrame, method: str, names: Sequence[str]) -> list[Cell]:
    """ASR, accuracy and ASR relearned of a method, from these columns."""
    of_method = runs[runs["method"] == method]
    measures = ("asr", "accuracy", "asr")
    return [mean_cell(of_method, name, measure) for name, measure in zip(names, measures, strict=True)]


def _columns(method: str, count: int) -> Sequence[Column]:
    whose = "clean reference" if method == "reference" else method
    return [
        Column(f"{method}_asr", f"{whose}: ASR left"),
        Column(f"{method}_accuracy", f"{whose}: accuracy"),
        Column(f"{method}_{relearned_column(count)}", f"{whose}: relearned", f"from {count}"),
    ]
