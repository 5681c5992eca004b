"""Tables of an analysis as they are shown: with headings, and intervals beside their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from anchorlab.perturbation.tables import TABLES
from anchorlab.perturbation.tables.sizes import WHOLE
from anchorlab.statistics.table import Cell, Column, Row, Rows, Table, number

if TYPE_CHECKING:  # an analysis shows itself by its summary
    from anchorlab.perturbation.analysis import Analysis

#: Columns of the summary: table, the rows of it that are meant, column, and heading where it is another.
_SUMMARY: tuple[tuple[str, Mapping[str, str], str, str], ...] = (
    ("sizes", {"layer": WHOLE}, "relative", "relative L2"),
    ("behaviour", {"part": "all"}, "kl", ""),
    ("behaviour", {"part": "all"}, "asr", ""),
    ("barriers", {"buffers": "stored"}, "error", "error barrier"),
    ("barriers", {"buffers": "stored"}, "loss", "loss barrier"),
    ("quadratic", {}, "kl_ratio", ""),
)


def summary_table(analysis: Analysis) -> Table:
    """What matters most of each candidate, a row each, as far as it was measured."""
    summary = pd.DataFrame({"candidate": list(analysis.candidates)})
    titles = {}
    for table, values, column, title in _SUMMARY:
        frame = _rows_where(analysis.tables[table], values)
        if len(frame):
            columns = [name for name in (column, f"{column}_lower", f"{column}_upper") if name in frame]
            summary = summary.merge(frame[["candidate", *columns]], on="candidate", how="left")
            titles[column] = title or _titles_of(table).get(column, column)
    return _table("summary", f"{analysis.task}: perturbations of {analysis.reference}.", summary, titles)


def table_of(analysis: Analysis, name: str) -> Table:
    """A table of an analysis, with intervals beside their values; of sizes, only what concerns the whole model."""
    frame = analysis.tables[name]
    if name == "sizes":
        frame = _rows_where(frame, {"layer": WHOLE}).drop(columns="layer")
    description = TABLES[name].description
    return _table(name, f"{description[0].upper()}{description[1:]}.", frame, _titles_of(name))


def describe_tables() -> str:
    """Every table and column in Markdown: the end of docs/perturbation.md."""
    lines = []
    for table in TABLES.values():
        lines += [f"### `{table.name}`", "", f"{table.description[0].upper()}{table.description[1:]}.", ""]
        lines += ["| column | what it holds |", "|---|---|"]
        if table.has_candidate:
            lines.append("| `candidate` | its name |")
        for column in table.columns:
            star = "\\*" if column.has_interval else ""
            description = column.description.replace("``", "`").replace("|", "\\|")
            lines.append(f"| `{column.name}`{star} | {description} |")
        lines.append("")
    return "\n".join(lines)


def _titles_of(table: str) -> dict[str, str]:
    return {column.name: column.title for column in TABLES[table].columns if column.title}


def _rows_where(frame: pd.DataFrame, values: Mapping[str, str]) -> pd.DataFrame:
    for column, value in values.items():
        frame = frame[frame[column] == value] if len(frame) else frame
    return frame


def _table(name: str, caption: str, frame: pd.DataFrame, titles: Mapping[str, str]) -> Table:
    head, *columns = (str(column) for column in frame if not str(column).endswith(("_lower", "_upper")))
    return Table(
        name=name,
        caption=caption,
        head=head.replace("_", " "),
        columns=[
            Column(column, titles.get(column, column.replace("_", " ")), is_text=frame[column].dtype.kind == "O")
            for column in columns
        ],
        groups=[Rows([Row(str(row[head]), [_cell(row, column) for column in columns]) for row in _records(frame)])],
    )


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _cell(row: Mapping[str, Any], column: str) -> Cell:
    if isinstance(row[column], str):
        return Cell(row[column], row[column])
    value = number(row[column])
    if value is None:
        return Cell("–")
    lower, upper = number(row.get(f"{column}_lower")), number(row.get(f"{column}_upper"))
    if lower is None or upper is None:
        return Cell(_digits(value), value)
    return Cell(_digits(value), value, (lower, upper), f"[{_digits(lower)}, {_digits(upper)}]")


def _digits(value: float) -> str:
    """Three significant digits; counts in full."""
    if value == 0:
        return "0"
    if value.is_integer() and 10 <= abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:.3g}".replace("-", "−")
