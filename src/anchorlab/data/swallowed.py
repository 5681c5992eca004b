"""Texts of a CSV file that swallowed other rows, because a quotation mark was opened by mistake and closed later."""

from __future__ import annotations

from collections.abc import Sequence

from anchorlab.data.sources import OpenedPart
from anchorlab.errors import AnchorlabError, quoted


def check_swallowed(
    part: OpenedPart, columns: tuple[str, str], texts: Sequence[str], classes: Sequence[str], where: str
) -> None:
    """Refuses a text over several lines whose line breaks are all those between two rows.

    Args:
        part: the part; only rows of CSV files can swallow others.
        columns: the columns of texts and of labels.
        texts: of each row.
        classes: their names.
        where: what holds them, for messages.

    Raises:
        AnchorlabError: naming the row.
    """
    if not any(file.lower().endswith(".csv") for file in part.files):
        return
    width = len(part.rows.column_names)
    text_at, label_at = (part.rows.column_names.index(name) for name in columns)
    names = set(classes)
    for row, text in enumerate(texts):
        lines = text.splitlines() if "\n" in text or "\r" in text else []
        # The text begins and ends in the midst of a row.
        spans = [(0, width) for _ in lines[2:]]
        spans = [(text_at, width), *spans, (0, text_at + 1)]
        if len(lines) > 1 and all(
            _is_row(line, *span, label_at, names) for line, span in zip(lines, spans, strict=True)
        ):
            raise AnchorlabError(
                f"{where}, {part.place(row)} holds a text of {len(lines):,} lines that look like rows, such as "
                f"{quoted(lines[0], 60)}: close the quotation mark that opens it, or give the rows as JSONL"
            )


def _is_row(line: str, start: int, end: int, label_at: int, names: set[str]) -> bool:
    """Whether a line has the fields from one column to another, with the name of a class where the label is."""
    fields = line.split(",")
    return len(fields) == end - start and (not start <= label_at < end or fields[label_at - start] in names)
