"""Rows in JSON: an object on each line, a list of objects, or an object of columns."""

from __future__ import annotations

import bisect
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from anchorlab.data.separated import text_bytes
from anchorlab.errors import AnchorlabError, first_line, is_utf8, quoted, shortened

_REMEDY = 'write each row as an object such as {"text": …, "label": …}'


def read_json_rows(files: Sequence[Path]) -> tuple[Any, tuple[int, ...], tuple[str, ...]]:
    """The rows of JSON files, one after the other; a key that a row lacks is missing there.

    JSON says what is a text and what a number, and so the columns do: one that mixes them becomes texts.

    Args:
        files: with names that end in ``.jsonl`` or ``.json``.

    Returns:
        The table, the number of rows of each file, and what was noticed, as sentences.

    Raises:
        AnchorlabError: naming the file and line of what is not JSON or no row.
    """
    import pyarrow as pa

    columns: dict[str, list[Any]] = {}
    counts: list[int] = []
    total = 0
    for file in files:
        start = total
        for row in _rows(file):
            for name, value in row.items():
                column = columns.setdefault(name, [])
                column.extend([None] * (total - len(column)))
                column.append(value)
            total += 1
        counts.append(total - start)

    def place(row: int) -> str:
        starts = list(itertools.accumulate(counts, initial=0))
        number = bisect.bisect_right(starts, row) - 1
        return f"{files[number]}, row {row - starts[number]}"

    notes: list[str] = []
    arrays = {}
    for name, values in columns.items():
        values.extend([None] * (total - len(values)))
        arrays[name] = _column(name, values, notes, place)
    return pa.table(arrays), tuple(counts), tuple(notes)


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    content = text_bytes(file)
    if file.suffix.lower() == ".json":
        try:
            value = _parse(content)
        except json.JSONDecodeError as error:
            if error.msg != "Extra data":
                raise _damaged(file, error.lineno, error) from error
        except (ValueError, RecursionError) as error:
            raise _damaged(file, None, error) from error
        else:
            yield from _whole(file, value)
            return
    # Some write JSON Lines with the ending .json; then each line is an object.
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            yield row_of_line(file, number, line)


def row_of_line(file: Path, number: int, line: bytes) -> dict[str, Any]:
    """The object on one line of JSON Lines.

    Raises:
        AnchorlabError: naming the file and the line, if it is none.
    """
    try:
        row = _parse(line)
    except (ValueError, RecursionError) as error:
        raise _damaged(file, number, error) from error
    if not isinstance(row, dict):
        raise AnchorlabError(f"{file}, line {number} holds {quoted(row, 60)}, expected an object: {_REMEDY}")
    return row


def _whole(file: Path, value: Any) -> Iterator[dict[str, Any]]:
    """The rows of a file that is one value: a list of objects, or columns as pandas writes them by default."""
    if isinstance(value, list):
        for number, row in enumerate(value):
            if not isinstance(row, dict):
                raise AnchorlabError(f"{file}, row {number} is {quoted(row, 60)}, expected an object: {_REMEDY}")
            yield row
        return
    columns = value if isinstance(value, dict) else {}
    lists = bool(columns) and all(isinstance(column, list) for column in columns.values())
    keyed = bool(columns) and all(isinstance(column, dict) for column in columns.values())
    keys = (
        {tuple(range(len(column))) if lists else tuple(column) for column in columns.values()}
        if lists or keyed
        else set()
    )
    if len(keys) != 1:
        raise AnchorlabError(
            f"{file} holds {quoted(value, 60)}, expected a list of objects, or columns of one length: {_REMEDY}"
        )
    for key in keys.pop():
        yield {name: column[key] for name, column in columns.items()}


def _parse(content: bytes) -> Any:
    # Python writes missing numbers as NaN, which JSON does not have.
    return json.loads(content, object_pairs_hook=_unique, parse_constant=lambda name: None)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {quoted(next(name for name in names if names.count(name) > 1))} stands in it twice")
    return row


def _damaged(file: Path, line: int | None, error: Exception) -> AnchorlabError:
    place = "" if line is None else f", line {line}"
    return AnchorlabError(
        f"{file}{place} is not JSON ({shortened(first_line(error)) or type(error).__name__}): correct it"
    )


def _column(name: str, values: list[Any], notes: list[str], place: Callable[[int], str]) -> Any:
    """One column: of one type if all its values have it, otherwise of texts."""
    import pyarrow as pa

    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {str}:
        return _texts(name, values, place)
    if kinds <= {bool}:
        return pa.array(values, pa.bool_())
    if kinds <= {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return pa.array(values, pa.int64())
    if kinds <= {int, float} and float in kinds:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if kinds & {list, dict}:
        try:
            return pa.array(values)
        except pa.ArrowException:  # lists and objects of several forms
            return pa.array([None if value is None else _text(value) for value in values], pa.string())
    if len(kinds) > 1:
        notes.append(f"the column '{shortened(name)}' mixes texts and numbers: all of it is read as texts")
    return _texts(name, [None if value is None else _text(value) for value in values], place)


def _texts(name: str, values: list[str | None], place: Callable[[int], str]) -> Any:
    import pyarrow as pa

    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError as error:
        row = next(row for row, value in enumerate(values) if value is not None and not is_utf8(value))
        raise AnchorlabError(
            f"{place(row)} has half a sign ({quoted(error.object[error.start])}) in the column '{shortened(name)}', "
            "which no text has: correct it"
        ) from error


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value)
