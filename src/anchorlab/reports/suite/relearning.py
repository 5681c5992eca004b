"""Relearning: how fast the backdoor comes back after each repair, beside the clean reference, as a table."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from anchorlab.reports.suite.interval_words import of_references
from anchorlab.reports.suite.repairs import cell_of, split_into_parts
from anchorlab.statistics.references import mean_over_references
from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table
from anchorlab.suites.results import SuiteResults

#: Columns of ``repairs`` that begin so hold the ASR after a tuning on so many triggered examples.
_PREFIX = "asr_relearned_"


def relearning_tables(results: SuiteResults) -> Iterator[Table]:
    """One table: a row for each repair and method, a column for each number of triggered examples; none without any."""
    frame = results.repairs
    counts = [name.removeprefix(_PREFIX) for name in map(str, frame.columns) if name.startswith(_PREFIX)]
    counts = [count for count in counts if count.isdigit()]
    if not counts:
        return
    groups = []
    for title, part in split_into_parts(frame, ["task", "trigger", "defender"]):
        rows = [Row("clean reference", [NONE, *(_mean(part, f"{_PREFIX}{count}_reference") for count in counts)])]
        for (repair, method), runs in part.groupby(["defence", "method"], sort=False):
            cells = [_mean(runs, "asr"), *(_mean(runs, f"{_PREFIX}{count}") for count in counts)]
            rows.append(Row(str(repair), cells, sub=str(method)))
        groups.append(Rows(rows, title))
    references = frame.groupby(["defence", "method", "trigger", "task"])["reference_seed"].nunique()
    yield Table(
        name="relearning",
        caption="Relearning: the ASR after each repair, and after a little tuning with a few triggered examples.",
        head="repair",
        columns=[Column("asr", "at once"), *(Column(f"{_PREFIX}{count}", f"from {count}") for count in counts)],
        groups=groups,
        notes=[
            "Any model can learn a trigger. The clean reference was tuned alike without a repair, and the rows of the "
            "method 'reference' after the same repair: a backdoor comes back where a repaired model lies above both.",
            of_references(references.min(), references.max()),
        ],
    )


def _mean(runs: pd.DataFrame, name: str) -> Cell:
    each = runs.drop_duplicates("identity").dropna(subset=name)
    if not len(each):
        return NONE
    return cell_of(mean_over_references(each[name], each["reference_seed"], "rate"), "asr")
