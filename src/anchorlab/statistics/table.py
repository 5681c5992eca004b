"""A table as a value, and how it is written: CSV, LaTeX, Markdown, HTML, terminal; the page template reads it too."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from anchorlab.errors import printable
from anchorlab.statistics.comma_separated import line
from anchorlab.statistics.escaping import html, markdown, visible
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.latex import PREAMBLE, latex, row_of

if TYPE_CHECKING:
    import pandas as pd

#: Width of the column of row headings on a terminal: the most of it in a summary, the least of it in a whole table.
_HEAD_WIDTH = 16


@dataclass(frozen=True)
class Column:
    """A column of values.

    Attributes:
        key: its name in CSV files, and in links.
        title: its heading.
        hint: a line below the heading, such as the unit.
        definition: what its values are; empty if the heading says it.
        is_text: whether its values are words rather than numbers.
    """

    key: str
    title: str
    hint: str = ""
    definition: str = ""
    is_text: bool = False


@dataclass(frozen=True)
class Cell:
    """The content of one row and column.

    Attributes:
        text: the value as it is read.
        value: the value in CSV files, by which columns are sorted; None if there is none.
        bounds: lower and upper end of the interval, as numbers; None if there is none.
        interval: the interval as it is read.
        note: a further line.
        best: whether no other method of the group has a better mean.
        estimate: the value as it was estimated, where notes below the table depend on how.
    """

    text: str
    value: float | str | None = None
    bounds: tuple[float, float] | None = None
    interval: str = ""
    note: str = ""
    best: bool = False
    estimate: Estimate | None = None


#: Where nothing was measured.
NONE = Cell("–")


@dataclass(frozen=True)
class Row:
    """A row.

    Attributes:
        head: its heading.
        cells: one for each column, or none: then ``sub`` is said in their place.
        sub: what stands below the heading.
        kind: ``method``, ``control`` or ``noise``; empty where that does not matter.
    """

    head: str
    cells: Sequence[Cell]
    sub: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Rows:
    """Rows that belong together and are sorted among themselves. The title is empty in a table of one group."""

    rows: Sequence[Row]
    title: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: of its files.
        caption: what it shows, in one sentence.
        head: heading of the column of row headings.
        columns: of the cells.
        groups: of rows.
        notes: sentences that belong below it.
    """

    name: str
    caption: str
    head: str
    columns: Sequence[Column]
    groups: Sequence[Rows]
    notes: Sequence[str] = ()

    def rows(self) -> Iterator[tuple[Rows, Row]]:
        """Every row with its group."""
        for group in self.groups:
            for row in group.rows:
                yield group, row


def facts_table(name: str, caption: str, facts: Mapping[str, object]) -> Table:
    """A table of one column: what each fact is called, and the fact."""
    rows = [Row(head, (Cell(str(fact)),)) for head, fact in facts.items()]
    return Table(name, caption, "", (Column("value", "value", is_text=True),), (Rows(rows),))


def frame_table(name: str, caption: str, frame: pd.DataFrame) -> Table:
    """A frame as a table, its first column as the heads of the rows."""
    first, *others = (str(column) for column in frame.columns)
    rows = [
        Row(_word(head), [Cell(_word(value), value) for value in values])
        for head, *values in frame.itertuples(index=False)
    ]
    columns = [Column(column, column.replace("_", " ")) for column in others]
    return Table(name, caption, first.replace("_", " "), columns, (Rows(rows),))


def _word(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


#: The heading of a column of a CSV file, and its value in a row.
_CSVColumn = tuple[str, Callable[[Rows, Row], object]]


def number(value: float | None) -> float | None:
    """The number, or None where it is undefined."""
    return None if value is None or not math.isfinite(value) else float(value)


def estimate_cell(
    estimate: Estimate, write: Callable[[float], str], *, best: bool = False, undefined: str = NONE.text
) -> Cell:
    """A value with its interval, both written with ``write``.

    Args:
        estimate: the value; what is not finite counts as undefined.
        write: writes a number.
        best: whether no other method of the group has a better mean.
        undefined: the text where there is no value.
    """
    lower, upper = number(estimate.lower), number(estimate.upper)
    finite = Estimate(number(estimate.value), lower, upper, each=estimate.each)
    if finite.value is None:
        return Cell(undefined)
    return Cell(write(finite.value), finite.value, finite.bounds, finite.interval(write), best=best, estimate=estimate)


def to_csv(table: Table) -> str:
    """A line for each row; three columns for a value with an interval: ``name``, ``name_lower`` and ``name_upper``."""
    columns = list(_csv_columns(table))
    rows = ([value(group, row) for _, value in columns] for group, row in table.rows())
    return "".join([line(head for head, _ in columns), *map(line, rows)])


def _csv_columns(table: Table) -> Iterator[_CSVColumn]:
    """Columns of a CSV file: groups and details only where the table has any."""
    if any(group.title for group in table.groups):
        yield "group", lambda group, _: group.title
    yield table.head, lambda _, row: row.head
    if any(row.sub for _, row in table.rows()):
        yield "detail", lambda _, row: row.sub
    for index in range(len(table.columns)):
        yield from _csv_columns_of_cells(table, index)


def _csv_columns_of_cells(table: Table, index: int) -> Iterator[_CSVColumn]:
    """Value, bounds and note of a column of cells; bounds and note only where some cell has any."""
    key = table.columns[index].key

    def cell(row: Row) -> Cell:
        return row.cells[index] if row.cells else Cell("")

    cells = [cell(row) for _, row in table.rows()]
    yield key, lambda _, row: cell(row).text if cell(row).value is None else cell(row).value
    if any(each.bounds for each in cells):
        yield f"{key}_lower", lambda _, row: (cell(row).bounds or ("", ""))[0]
        yield f"{key}_upper", lambda _, row: (cell(row).bounds or ("", ""))[1]
    if any(each.note for each in cells):
        yield f"{key}_note", lambda _, row: cell(row).note


def to_latex(table: Table) -> str:
    """A ``tabular`` for the package booktabs, with the caption and notes as comments.

    pdfLaTeX prints the codes of characters that it lacks; see `anchorlab.statistics.latex`.
    """
    comments = [f"% {printable(text)}" for text in (table.caption, *table.notes, r"Needs \usepackage{booktabs}.")]
    lines = [rf"\begin{{tabular}}{{l{''.join('l' if c.is_text else 'r' for c in table.columns)}}}", r"\toprule"]
    lines += [row_of([latex(text) for text in (table.head, *(column.title for column in table.columns))]), r"\midrule"]
    for position, group in enumerate(table.groups):
        if group.title:
            lines += [r"\addlinespace"] if position else []
            lines += [rf"\multicolumn{{{len(table.columns) + 1}}}{{l}}{{\emph{{{latex(group.title)}}}}} \\"]
        lines += [row_of([latex(_name(row, group)), *_latex_cells(row, len(table.columns))]) for row in group.rows]
    lines += [r"\bottomrule", r"\end{tabular}", ""]
    needed = [PREAMBLE] if any(r"\anchorlabunicode" in text for text in lines) else []
    return "\n".join([*comments, *needed, *lines])


def _latex_cells(row: Row, columns: int) -> list[str]:
    if not row.cells:
        return [rf"\multicolumn{{{columns}}}{{l}}{{{latex(row.sub)}}}"]
    return [_latex_cell(cell) for cell in row.cells]


def _latex_cell(cell: Cell) -> str:
    text = rf"\textbf{{{latex(cell.text)}}}" if cell.best else latex(cell.text)
    small = _joined(cell.interval, cell.note)
    return rf"{text} {{\scriptsize {latex(small)}}}" if small else text


def to_markdown_table(table: Table) -> str:
    """A table in Markdown; the group is a column, intervals follow their values."""
    grouped = any(group.title for group in table.groups)
    titles = [markdown(column.title) for column in table.columns]
    heads = [markdown(table.head), *(["anchors"] if grouped else []), *titles]
    lines = [heads, ["---"] * (1 + grouped) + ["---:"] * len(table.columns)]
    for group, row in table.rows():
        cells = [_joined(markdown(cell.text), cell.interval, markdown(cell.note)) for cell in row.cells]
        cells = cells or [markdown(row.sub), *[""] * (len(table.columns) - 1)]
        titles = [markdown(group.title.removesuffix(" anchors"))] if grouped else []
        lines.append([markdown(_name(row, group)), *titles, *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _name(row: Row, group: Rows) -> str:
    """A row's heading on one line: with what stands below it, where several rows of its group have the same."""
    alike = sum(other.head == row.head for other in group.rows)
    return f"{row.head}, {row.sub}" if row.cells and row.sub and alike > 1 else row.head


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def to_html(table: Table) -> str:
    """A plain HTML table for notebooks; intervals follow their values, the group is a row above its own."""
    heads = "".join(f"<th>{html(words)}</th>" for words in (table.head, *(column.title for column in table.columns)))
    lines = [f"<table><caption>{html(table.caption)}</caption>", f"<thead><tr>{heads}</tr></thead>", "<tbody>"]
    for group in table.groups:
        if group.title:
            lines.append(f'<tr><th colspan="{len(table.columns) + 1}">{html(group.title)}</th></tr>')
        for row in group.rows:
            texts = [_joined(cell.text, cell.interval, cell.note) for cell in row.cells]
            cells = "".join(f"<td>{html(text)}</td>" for text in texts or [row.sub])
            lines.append(f"<tr><th>{html(_name(row, group))}</th>{cells}</tr>")
    return "\n".join([*lines, "</tbody></table>"])


def print_rich(table: Table, console: Console, *, width: int = 15) -> None:
    """The table on a terminal: a part for each group, intervals below their values, as many columns as fit."""
    heads = min(max((cell_len(printable(row.head)) for _, row in table.rows()), default=0), _HEAD_WIDTH)
    shown = max((console.width - heads - 1) // width, 1)
    for group in table.groups:
        drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, title=_title(group.title))
        drawn.add_column(_text(table.head), min_width=heads, max_width=_HEAD_WIDTH)
        for column in table.columns[:shown]:
            drawn.add_column(Text("\n").join(map(_text, column.title.split(" "))), justify="right")
        for row in group.rows:
            drawn.add_row(_on_two_lines(row.head, row.sub), *(_terminal(cell) for cell in row.cells[:shown]))
        console.print(drawn, "")
    for note in table.notes:
        console.print(_text(note), highlight=False)


def print_full(table: Table, console: Console) -> None:
    """The whole table on a terminal: its caption, every column, intervals beside their values, and its notes."""
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    # As wide as the names of rows, so that the title of a group takes no room from the values.
    heads = max((cell_len(printable(_name(row, group))) for group, row in table.rows()), default=0)
    drawn.add_column(_text(table.head), max_width=max(heads, _HEAD_WIDTH))
    for column in table.columns:
        drawn.add_column(_text(column.title), justify="left" if column.is_text else "right")
    for group in table.groups:
        if group.title:
            drawn.add_row(_text(group.title, "italic"))
        for row in group.rows:
            drawn.add_row(_text(_name(row, group)), *(_beside(cell) for cell in row.cells or (Cell(row.sub),)))
    console.print(_text(table.caption, "bold"), soft_wrap=True)
    console.print(drawn)
    console.print()
    for note in table.notes:
        console.print(_text(note), highlight=False)


def _title(text: str) -> Text | None:
    return _text(text, "table.title") if text else None


def _text(text: str, style: str = "") -> Text:
    """A text for a terminal, its lines kept: as styled text and not as markup, which a console may read or not."""
    return Text(visible(text), style=style)


def _terminal(cell: Cell) -> Text:
    return _on_two_lines(cell.text, cell.interval.strip("[]").replace(", ", "–"))


def _beside(cell: Cell) -> Text:
    value = _text(_joined(cell.text, cell.interval))
    return value.append(f"\n{printable(cell.note)}") if cell.note else value


def _on_two_lines(first: str, second: str) -> Text:
    """The second line dimmed."""
    return _text(first).append(f"\n{printable(second)}", style="dim") if second else _text(first)
