"""A block that llama.cpp printed, set beside ours: line by line, with the difference."""

from __future__ import annotations

from pathlib import Path

from anchorlab.statistics.table import NONE, Cell, Column, Row, Rows, Table
from anchorlab.tokens.llama_block import LINES, Line
from anchorlab.tokens.llama_cpp import Block, Entry


def beside_table(ours: Block, theirs: Block, log: Path) -> Table:
    """A row a statistic: ours, the log's, and ours less the log's, all in the units of the printed block.

    Args:
        ours: every statistic.
        theirs: those that the log has.
        log: where it lies, for the heading.
    """
    columns = (
        Column("here", "here"),
        Column("log", f"in {log.name}"),
        Column("difference", "difference"),
    )
    rows = [Row(line.name, _cells(line, ours[name], theirs.get(name))) for name, line in LINES.items()]
    return Table("beside", f"the statistics here, and those in {log}", "statistic", columns, (Rows(rows),))


def _cells(line: Line, ours: Entry, theirs: Entry | None) -> tuple[Cell, Cell, Cell]:
    if theirs is None:
        return _cell(line, ours), NONE, NONE
    return _cell(line, ours), _cell(line, theirs), _cell(line, Entry(ours.value - theirs.value))


def _cell(line: Line, entry: Entry) -> Cell:
    return Cell(line.text(entry).removeprefix(line.heading).strip(), entry.value)
