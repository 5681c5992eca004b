"""A comparison as a table for readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anchorlab.metrics import METRICS
from anchorlab.statistics.table import Cell, Column, Row, Rows, Table

if TYPE_CHECKING:
    from anchorlab.consistency.compare import Comparison

_COLUMNS = (
    Column("value", "value"),
    Column("interval", "95% interval", is_text=True),
    Column("meaning", "what it is", is_text=True),
)


def comparison_table(comparison: Comparison, title: str = "candidate against reference") -> Table:
    """A row a measurement: its name, its value, its interval where it has one, and what it is.

    Args:
        comparison: what ``compare`` measured.
        title: what was compared, the first line of the caption.
    """
    measured_on = f"{comparison.task}, split {comparison.split}, " if comparison.task else ""
    rows = []
    for name in METRICS:
        if name == "count":
            continue
        value, interval = getattr(comparison, name, None), comparison.intervals.get(name)
        reason = comparison.undefined.get(name, "") if value is None else ""
        cells = (
            Cell(_text(value), value),
            Cell("" if interval is None else f"{interval[0]:.4f}–{interval[1]:.4f}"),
            Cell(METRICS[name].definition, note=f"({reason})" if reason else ""),
        )
        rows.append(Row(name, cells))
    caption = f"{title}\n{measured_on}{comparison.count} clean instances"
    return Table("comparison", caption, "measurement", _COLUMNS, (Rows(rows),))


def _text(value: float | None) -> str:
    if value is None:
        return "undefined"
    return str(value) if isinstance(value, int) else f"{value:#.4g}"
