"""A comparison of two language models as tables: the main measurements, all of them, and their breakdowns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table
from anchorlab.tokens.measurements import BROKEN_DOWN, MEASUREMENTS, TokenMeasurement
from anchorlab.tokens.words import number, share

if TYPE_CHECKING:
    from anchorlab.tokens.result import Measurement, Part, TokenComparison

_VALUE, _INTERVAL = Column("value", "value"), Column("interval", "95% interval", is_text=True)
_TITLE = Column("meaning", "what it is", is_text=True)
_TOKENS = Column("tokens", "tokens", definition="Tokens that it was measured on; of a mean the finite ones.")

#: Measurements that are shares, written in percent.
_SHARES = ("same_top", "sure", "sure_flips", "top_overlap")

#: Means whose titles do not say so.
_MEANS = ("kl", "kl_reverse", "js", "delta_p")


def headline_table(comparison: TokenComparison, title: str = "candidate against reference") -> Table:
    """The measurements that are read first, a row each; infinite tokens only where there are any.

    Args:
        comparison: what ``compare_tokens`` measured.
        title: what was compared, the first line of the caption.
    """
    rows = []
    for name, each in comparison.measurements.items():
        record = MEASUREMENTS.get(name)
        if record is not None and (record.is_main or (record.kind == "count" and each.value)):
            title_of = f"mean {record.title}" if name in _MEANS else record.title
            rows.append(Row(name, (Cell(title_of), value_cell(record, each), _interval(record, each))))
    return Table("tokens", _caption(comparison, title), "measurement", (_TITLE, _VALUE, _INTERVAL), (Rows(rows),))


def tokens_table(comparison: TokenComparison, title: str = "candidate against reference") -> Table:
    """A row a measurement: its name, its value, its interval where it has one, its tokens, and what it is.

    Args:
        comparison: what ``compare_tokens`` measured.
        title: what was compared, the first line of the caption.
    """
    rows = []
    for name, each in comparison.measurements.items():
        record = MEASUREMENTS.get(name)
        if record is None:
            continue
        note = f"({each.undefined})" if each.undefined else ""
        cells = (
            value_cell(record, each),
            _interval(record, each),
            Cell(f"{each.tokens:,}", each.tokens),
            Cell(record.definition, note=note),
        )
        rows.append(Row(name, cells))
    columns = (_VALUE, _INTERVAL, _TOKENS, _TITLE)
    return Table("every-measurement", _caption(comparison, title), "measurement", columns, (Rows(rows),))


def parts_table(parts: Sequence[Part], name: str, caption: str, head: str) -> Table:
    """A row for each part of the tokens, such as a domain, and a column for each measurement of a breakdown.

    Args:
        parts: the rows.
        name: of the table.
        caption: what it shows.
        head: what a row is, such as ``domain``.
    """
    shown = [key for key in BROKEN_DOWN if any(key in part.measurements for part in parts)]
    columns = [
        Column("documents", "documents"),
        Column("tokens", "tokens"),
        *(Column(key, key, MEASUREMENTS[key].unit, MEASUREMENTS[key].definition) for key in shown),
    ]
    return Table(name, caption, head, columns, (Rows([Row(part.name, _cells(part, shown)) for part in parts]),))


def _cells(part: Part, shown: Sequence[str]) -> list[Cell]:
    measured = [part.measurements[key] for key in shown if key in part.measurements]
    counts = [max((getattr(each, what) for each in measured), default=0) for what in ("documents", "tokens")]
    cells = [Cell(f"{count:,}", count) for count in counts]
    for key in shown:
        each = part.measurements.get(key)
        if each is None:
            cells.append(NONE)
            continue
        value = value_cell(MEASUREMENTS[key], each)
        cells.append(Cell(value.text, value.value, interval=_interval(MEASUREMENTS[key], each).text))
    return cells


def value_cell(record: TokenMeasurement, measurement: Measurement) -> Cell:
    """The value of a measurement, as a share, a count or a number."""
    if measurement.value is None:
        return Cell("undefined")
    return Cell(written(record, measurement.value), measurement.value)


def written(record: TokenMeasurement, value: float) -> str:
    """A value of a measurement as its kind is written."""
    if record.kind == "count" or (record.column == "rank" and record.kind == "extreme"):
        return f"{value:,.0f}"
    return share(value) if record.name in _SHARES else number(value, 4)


def _interval(record: TokenMeasurement, measurement: Measurement) -> Cell:
    if measurement.interval is None:
        return Cell("")
    return Cell(f"[{', '.join(written(record, end) for end in measurement.interval)}]")


def _caption(comparison: TokenComparison, title: str) -> str:
    return (
        f"{title}\n{comparison.tokens:,} tokens of {comparison.documents:,} documents of {comparison.scoring.texts}, "
        "intervals over documents"
    )
