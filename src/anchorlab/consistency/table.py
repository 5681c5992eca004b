"""A comparison as a table for readers: the headline measurements, or all of them."""

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


#: The measurements of the short table, each with what it is in few words, so that 80 columns hold it.
_HEADLINES = {
    "accuracy": "right, when clean",
    "accuracy_reference": "the reference's",
    "asr": "triggered, to the target",
    "asr_reference": "the reference's",
    "churn": "another prediction",
    "negative_flips": "was right, became wrong",
    "kl": "mean divergence, nats",
    "logit_distance": "squared shift of logits",
}


def headline_table(comparison: Comparison, title: str = "candidate against reference") -> Table:
    """The measurements that are read first, a row each; without those that are undefined.

    Args:
        comparison: what ``compare`` measured.
        title: what was compared, the first line of the caption.
    """
    rows = [
        Row(name, (_value(comparison, name), _interval(comparison, name), Cell(meaning)))
        for name, meaning in _HEADLINES.items()
        if getattr(comparison, name, None) is not None
    ]
    return Table("comparison", _caption(comparison, title), "measurement", _COLUMNS, (Rows(rows),))


def comparison_table(comparison: Comparison, title: str = "candidate against reference") -> Table:
    """A row a measurement: its name, its value, its interval where it has one, and what it is.

    Args:
        comparison: what ``compare`` measured.
        title: what was compared, the first line of the caption.
    """
    rows = []
    for name in METRICS:
        if name == "count":
            continue
        reason = comparison.undefined.get(name, "") if getattr(comparison, name, None) is None else ""
        meaning = Cell(METRICS[name].definition, note=f"({reason})" if reason else "")
        rows.append(Row(name, (_value(comparison, name), _interval(comparison, name), meaning)))
    return Table("comparison", _caption(comparison, title), "measurement", _COLUMNS, (Rows(rows),))


def _caption(comparison: Comparison, title: str) -> str:
    measured_on = f"{comparison.task}, split {comparison.split}, " if comparison.task else ""
    return f"{title}\n{measured_on}{comparison.count} clean examples"


def _value(comparison: Comparison, name: str) -> Cell:
    value = getattr(comparison, name, None)
    return Cell(_text(value), value)


def _interval(comparison: Comparison, name: str) -> Cell:
    bounds = comparison.intervals.get(name)
    write = METRICS[name].write
    return Cell("" if bounds is None else f"[{write(bounds[0])}, {write(bounds[1])}]")


def _text(value: float | None) -> str:
    if value is None:
        return "undefined"
    return str(value) if isinstance(value, int) else f"{value:#.4g}"
