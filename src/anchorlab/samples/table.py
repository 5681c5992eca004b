"""The comparison of two runs' logs as a table: a row for each task, filter and metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from anchorlab.samples.measurements import MEASUREMENTS
from anchorlab.statistics.numbers import p_value
from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table

if TYPE_CHECKING:
    from anchorlab.samples.result import SampleComparison, TaskComparison

_COLUMNS = (
    Column("documents", "docs", definition="Documents that both runs have a number of: the independent units."),
    Column("value_reference", "ref.", definition="The reference's mean score over documents."),
    Column("value", "cand.", definition="The candidate's mean score over documents."),
    Column("difference", "difference", definition=MEASUREMENTS["difference"]),
    Column("flips", "flips", hint="- / +", definition="Documents that became wrong, and that became right."),
    Column("churn", "churn", definition=MEASUREMENTS["churn"]),
    Column("p_holm", "p Holm", definition=MEASUREMENTS["p_holm"]),
)


def samples_table(
    found: SampleComparison, title: str = "candidate against reference", *, everything: bool = True
) -> Table:
    """A row for each task, filter and metric.

    Args:
        found: what ``compare_samples`` measured.
        title: what was compared, the first line of the caption.
        everything: whether all columns are wanted, and not those alone that a terminal of 80 columns has room for.
    """
    shown = [column.key for column in _COLUMNS if everything or column.key != "churn"]
    columns = [column for column in _COLUMNS if column.key in shown]
    groups = [
        Rows(
            [
                Row(row.measured, [cell for key, cell in _cells(row).items() if key in shown])
                for row in found.rows
                if row.task == task
            ],
            title=task,
        )
        for task in dict.fromkeys(row.task for row in found.rows)
    ]
    return Table("samples", f"{title}\nper-sample logs, paired by document", "metric", columns, groups)


def _cells(row: TaskComparison) -> dict[str, Cell]:
    """Key of a column to the row's cell."""
    interval = "" if row.interval is None else f"[{', '.join(f'{end:.3f}' for end in row.interval)}]"
    difference = _cell(row.difference, lambda value: f"{value:+.3f}")
    flips = NONE
    if row.negative_flips is not None and row.positive_flips is not None:
        flips = Cell("/".join(f"{share * row.documents:.0f}" for share in (row.negative_flips, row.positive_flips)))
    return {
        "documents": Cell(f"{row.documents:,}", row.documents),
        "value_reference": _cell(row.value_reference, _three),
        "value": _cell(row.value, _three),
        "difference": Cell(difference.text, difference.value, row.interval, interval),
        "flips": flips,
        "churn": _cell(row.churn, _three),
        "p_holm": _cell(row.p_holm, p_value),
    }


def _three(value: float) -> str:
    return f"{value:.3f}"


def _cell(value: float | None, write: Callable[[float], str]) -> Cell:
    return NONE if value is None else Cell(write(value), value)
