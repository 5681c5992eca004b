"""Rows with commas or tabs between their fields, each field a text as it is spelled."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anchorlab.data.part_names import listed
from anchorlab.errors import AnchorlabError, first_line, quoted, shortened

#: Most characters of a field over several lines, as in the cell of a spreadsheet: a longer one swallowed other rows.
LONGEST_CELL = 32_767

_BATCH = 20_000


def read_separated(file: Path, separator: str, *, one_column: bool = False) -> tuple[Any, tuple[str, ...]]:
    """A file of rows below a row of names, all columns as texts.

    Commas follow RFC 4180: a field in double quotes may hold commas, line breaks and doubled quotes. Between tabs,
    quotes are signs like any other. Lines without anything in them are not rows.

    Args:
        file: UTF-8 text, with or without a byte order mark.
        separator: a comma or a tab.
        one_column: whether one column will do, because nobody looks for labels beside texts.

    Returns:
        The table, and what was noticed, as sentences.

    Raises:
        AnchorlabError: naming the line or byte of what cannot be read, or columns of one name.
    """
    import pyarrow as pa

    lines = io.TextIOWrapper(io.BytesIO(text_bytes(file)), encoding="utf-8", newline="")
    rows = _Rows(file, separator)
    with _long_fields():
        # In tab-separated text a quote opens nothing, so that a stray one cannot swallow rows.
        reader = (
            csv.reader(lines, delimiter=separator, strict=True)
            if separator == ","
            else csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE)
        )
        records = rows.read(reader)
        names = _column_names(file, next(records, []), separator, one_column=one_column)
        schema = pa.schema([(name, pa.string()) for name in names])
        batches: list[Any] = []
        batch: list[list[str]] = []
        for record in records:
            if len(record) != len(names):
                raise rows.ragged(record, len(names))
            batch.append(record)
            if len(batch) == _BATCH:
                batches.append(_batch(batch, schema))
                batch = []
        if batch:
            batches.append(_batch(batch, schema))
    return pa.Table.from_batches(batches, schema), rows.notes()


@dataclass
class _Rows:
    """Reads one record after the other, and remembers where it is.

    Attributes:
        file: the file.
        separator: a comma or a tab.
        line: the line in which the last record begins, counted from 1.
        records: how many there are so far, without empty lines.
        over_lines: how many of them have line breaks in their fields.
        longest: most lines of a record.
        in_quotes: how many fields stand in quotes that belong to them.
    """

    file: Path
    separator: str
    line: int = 0
    records: int = 0
    over_lines: int = 0
    longest: int = 1
    in_quotes: int = 0

    def read(self, reader: Any) -> Iterator[list[str]]:
        """The records of a ``csv.reader`` that hold anything."""
        last = 0
        while True:
            self.line = last + 1
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise self._unreadable(error) from error
            lines, last = reader.line_num - last, reader.line_num
            if not record:
                continue
            self.records += 1
            if lines > 1:
                self._check_long(record)
                self.over_lines += 1
                self.longest = max(self.longest, lines)
            if self.separator == "\t":
                self.in_quotes += sum(len(text) > 1 and text[0] == text[-1] == '"' for text in record)
            yield record

    def _check_long(self, record: list[str]) -> None:
        length = max(len(text) for text in record)
        if length > LONGEST_CELL:
            raise AnchorlabError(
                f"{self.file}, line {self.line} begins a field of {length:,} characters over several lines, expected "
                f"at most {LONGEST_CELL:,}: close its quotation mark, or give texts as long as this as JSONL or parquet"
            )

    def _unreadable(self, error: csv.Error) -> AnchorlabError:
        reason = "opens a quotation mark that is not closed" if "end of data" in str(error) else first_line(error)
        return AnchorlabError(
            f"{self.file}, line {self.line} cannot be read as fields with commas between them ({reason}): write "
            'quotation marks in a quoted field twice (""), or give the rows as tab-separated text or JSONL'
        )

    def ragged(self, record: list[str], expected: int) -> AnchorlabError:
        """The refusal of a row that has more or fewer fields than there are columns."""
        fields = f"{len(record):,} field{'s' * (len(record) != 1)}"
        remedy = (
            "remove tabs and line breaks from its texts, or give it as CSV, where fields may be quoted"
            if self.separator == "\t"
            else "put a field that holds commas or line breaks into double quotes"
        )
        return AnchorlabError(
            f"{self.file}, line {self.line} has {fields} ({quoted(self.separator.join(record), 60)}), expected "
            f"{expected:,} as in its first line: {remedy}"
        )

    def notes(self) -> tuple[str, ...]:
        """What a person should know about these rows, because another reader might read others."""
        notes = []
        if self.over_lines:
            notes.append(
                f"{self.over_lines:,} of {self.records - 1:,} rows of {shortened(self.file.name)} run over several "
                f"lines, up to {self.longest:,}"
            )
        if self.in_quotes:
            fields = "fields of {} stand" if self.in_quotes > 1 else "field of {} stands"
            notes.append(
                f"{self.in_quotes:,} {fields.format(shortened(self.file.name))} in quotation marks, which are kept: "
                "tab-separated text has no quoting"
            )
        return tuple(notes)


def text_bytes(file: Path) -> bytes:
    """The bytes of a file of UTF-8 text, without the byte order mark.

    Raises:
        AnchorlabError: naming the byte that is not UTF-8, or a zero byte.
    """
    content = file.read_bytes()
    zero = content.find(b"\0")
    try:
        content[: zero if zero >= 0 else len(content)].decode("utf-8")
    except UnicodeDecodeError as error:
        raise AnchorlabError(
            f"{file} is not UTF-8 text ({_place(content, error.start)}: {error.reason}): save it as UTF-8"
        ) from error
    if zero >= 0:
        raise AnchorlabError(
            f"{file} holds a zero byte ({_place(content, zero)}), which no text has: save it as UTF-8, and remove what "
            "is damaged"
        )
    return content.removeprefix(b"\xef\xbb\xbf")


def _place(content: bytes, byte: int) -> str:
    return f"line {content.count(bytes([10]), 0, byte) + 1:,}, byte {byte:,}"


def _column_names(file: Path, header: list[str], separator: str, *, one_column: bool) -> list[str]:
    """The names in the first row; a column without one, as pandas writes its index, is named by its place."""
    if not header:
        raise AnchorlabError(f"{file} is empty, expected rows below the names of the columns: give another file")
    if header[0].lower().startswith("sep=") and not "".join(header)[len("sep=") :].strip(";|"):
        raise AnchorlabError(
            f"{file} begins with {quoted(separator.join(header))}, which tells Excel what stands between columns, "
            "expected their names: remove that line"
        )
    if len(header) == 1 and not one_column:
        what = "a tab" if separator == "\t" else "a comma"
        raise AnchorlabError(
            f"{file} has one column, {quoted(header[0])}, expected texts or images and labels with {what} between "
            "them: separate them so"
        )
    names = [name or f"Unnamed: {place}" for place, name in enumerate(header)]
    refuse_twice(file, names)
    return names


def refuse_twice(file: Path, names: Sequence[str]) -> None:
    """Raises AnchorlabError for a file two of whose columns have one name."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise AnchorlabError(
            f"{file} has several columns {listed(twice[:3], ' and ')}, expected one of each name: rename them"
        )


def _batch(rows: list[list[str]], schema: Any) -> Any:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays(
        [pa.array(column, pa.string()) for column in zip(*rows, strict=True)], schema=schema
    )


@contextmanager
def _long_fields() -> Iterator[None]:
    """Lifts the limit that Python's csv sets to fields, which is one for the whole process."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)
