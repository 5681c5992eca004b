"""Relearning: how fast the backdoor comes back after each repair, beside the clean reference, as a table."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from anchorlab.reports.suite.interval_words import of_references
from anchorlab.reports.suite.repairs import mean_cell, split_into_parts
from anchorlab.statistics.table import Column, Row, Rows, Table
from anchorlab.suites.results import SuiteResults

#: Columns of ``repairs`` that begin so hold the ASR after a tuning on so many triggered examples.
_PREFIX = "asr_relearned_"


def relearned_counts(frame: pd.DataFrame) -> list[int]:
    """The numbers of triggered examples that repaired models were tuned on, as the columns have them."""
    counts = [name.removeprefix(_PREFIX) for name in map(str, frame.columns) if name.startswith(_PREFIX)]
    return [int(count) for count in counts if count.isdigit()]


def relearned_column(count: int) -> str:
    """The column of the ASR after a tuning on so many triggered examples; none is right after the repair."""
    return f"{_PREFIX}{count}" if count else "asr"


def relearning_tables(results: SuiteResults) -> Iterator[Table]:
    """One table: a row for each repair and method, a column for each number of triggered examples; none without any."""
    frame = results.repairs
    counts = relearned_counts(frame)
    if not counts:
        return
    names = [relearned_column(count) for count in (0, *counts)]
    groups = []
    for title, part in split_into_parts(frame, ["task", "trigger", "defender"]):
        rows = [Row("clean reference", [mean_cell(part, f"{name}_reference", "asr") for name in names])]
        for repair, repaired in part.groupby("defence", sort=False):
            for method, runs in repaired.groupby("method", sort=False):
                rows.append(Row(str(repair), [mean_cell(runs, name, "asr") for name in names], sub=str(method)))
        groups.append(Rows(rows, title))
    references = frame.groupby(["defence", "method", "trigger", "task"])["reference_seed"].nunique()
    yield Table(
        name="relearning",
        caption="Relearning: the ASR after each repair, and after a little tuning with a few triggered examples.",
        head="repair",
        columns=[
            Column(name, f"from {count}" if count else "at once")
            for name, count in zip(names, (0, *counts), strict=True)
        ],
        groups=groups,
        notes=[
            "Any model can learn a trigger. The clean reference was tuned alike without a repair, and the rows of the "
            "method 'reference' after the same repair. A backdoor comes back where a repaired model lies above both "
            "and above its own value at once; where that value is high, the repair had not removed it.",
            of_references(references.min(), references.max(), groups),
        ],
    )
