"""Answers to queries that another program has stored: logits, probabilities or labels, as .npy or .csv."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.consistency.frames import ROW_NUMBERS, plain
from anchorlab.consistency.stored_logits import StoredLogits, stored_labels
from anchorlab.errors import AnchorlabError, shortened
from anchorlab.files import input_file
from anchorlab.metrics import predictions
from anchorlab.models.probabilities import Watch
from anchorlab.notices import notice
from anchorlab.scoring.audit_statistics import Access
from anchorlab.statistics.arrays import Floats, Integers

#: How the names of files of answers end.
STORED = (".npy", ".csv")

#: The smallest probability that is told from 0, because files round and a logarithm of 0 is no number.
FLOOR = 1e-12

#: Labels are numbered from 0, so that a number from here on is no class.
_MOST_CLASSES = 1_000_000

#: No model answers with larger logits: they do not fit into float32, and divergences of them are not finite.
_LARGEST = float(np.finfo(np.float32).max)

#: A row of probabilities sums to 1 but for this, which numbers that are rounded to two digits need.
_TOLERANCE = 0.02


@dataclass(frozen=True)
class StoredAnswers:
    """One model's answers to N queries.

    Attributes:
        name: where they come from, for messages.
        access: what they are, the richest access that they allow.
        logits: float64 ``[N, C]``, of probabilities their logarithms; None if only labels are known.
        labels: the label of each query, ``[N]``: numbers, or names.
        names: of the C columns, where a file names them.
    """

    name: str
    access: Access
    logits: Floats | None
    labels: NDArray[Any]
    names: tuple[str, ...] = ()


def read_answers(source: str | Path | Any, name: str) -> StoredAnswers:
    """The answers in a file or an array.

    Two dimensions are logits, or probabilities if no number is negative and every row sums to 1; one dimension is
    labels. A .csv file has a line a query, and where it has one, a first line of names, or of 0, 1, … as pandas numbers
    columns. A single column of numbers that begins with 0 begins with that label, because nothing tells it from such a
    heading.

    Args:
        source: a .npy or .csv file, an array, or a table of pandas, whose columns' names count as a file's.
        name: whose answers they are, for messages.

    Raises:
        AnchorlabError: if the file cannot be read, it holds neither, or numbers are masked or complex.
    """
    names: tuple[str, ...] = ()
    if isinstance(source, (str, Path)):
        path = Path(source)
        array, names = _csv(path) if path.suffix.lower() == ".csv" else (_npy(path), ())
        name = str(path)
    else:
        plain_source, names = plain(source, name)
        array = np.asarray(plain_source)
    if array.ndim == 2 and array.shape[1] == 1:
        array, names = array[:, 0], ()
    if array.ndim not in (1, 2) or not array.size:
        raise AnchorlabError(
            f"{name} holds an array of shape {array.shape}: give logits or probabilities of shape [N, C], or labels of "
            "shape [N]"
        )
    if array.ndim == 1:
        return StoredAnswers(name, "labels", None, _labels(array, name))
    values = _numbers(array, name)
    if (values >= 0).all() and (np.abs(values.sum(axis=1) - 1) <= _TOLERANCE).all():
        return StoredAnswers(name, "probabilities", np.log(np.maximum(values, FLOOR)), predictions(values), names)
    watch = Watch(name)
    watch.see(values)
    watch.check()
    return StoredAnswers(name, "logits", values, predictions(values), names)


def read_labels(source: str | Path | Any, name: str) -> NDArray[Any]:
    """Labels in a file or an array: numbers or names, ``[N]``.

    Raises:
        AnchorlabError: if the file cannot be read or holds something else.
    """
    answers = read_answers(source, name)
    if answers.access != "labels":
        raise AnchorlabError(f"{answers.name} holds {answers.access} of shape [N, C]: give labels, one a query")
    return answers.labels


def numbered(columns: Sequence[NDArray[Any]]) -> tuple[list[Integers], tuple[str, ...]]:
    """Several columns of labels as numbers of the same classes, and the names of these.

    Whole numbers stay what they are. Names are numbered in the order of the alphabet, over all columns.
    """
    if all(np.issubdtype(column.dtype, np.integer) for column in columns):
        most = max(int(column.max()) for column in columns)
        return [np.asarray(column, dtype=np.int64) for column in columns], tuple(map(str, range(most + 1)))
    names = sorted({str(label) for column in columns for label in column})
    places = {name: place for place, name in enumerate(names)}
    return [np.array([places[str(label)] for label in column], dtype=np.int64) for column in columns], tuple(names)


def _npy(path: Path) -> NDArray[Any]:
    header = stored_labels(path)  # any array
    if header.ndim != 2 or header.shape[1] == 1:
        return header
    return StoredLogits(path)[slice(None)]


def _csv(path: Path) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The cells of a CSV file, ``[N, C]`` as numbers or ``[N]`` as labels, and the names of several columns."""
    path = input_file(path, "give answers as a .npy or .csv file, a line a query")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            numbered_rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AnchorlabError(
            f"{path} cannot be read as CSV ({shortened(str(error))}): give UTF-8, a line a query"
        ) from error
    rows = [row for _, row in numbered_rows if row]
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise AnchorlabError(f"{path} has lines of {min(widths)} and of {max(widths)} cells: give each query as many")
    if not rows:
        raise AnchorlabError(f"{path} is empty: give a line a query")
    if len(rows[0]) > 1:
        names, body = _below_names(path, rows)
        bad = next((cell for row in body for cell in row if not _is_number(cell)), None)
        if bad is not None:
            raise AnchorlabError(f"{path} holds '{shortened(bad)}', which is no number: give logits or probabilities")
        _refuse_row_numbers(path, names, body)
        return np.array(body, dtype=np.float64).reshape(len(body), len(rows[0])), names
    _refuse_separator(path, [row[0] for row in rows])
    while not numbered_rows[-1][1]:  # blank lines at the end, as editors leave them
        numbered_rows.pop()
    blank = next((line for line, row in numbered_rows[1:] if not "".join(row).strip()), None)
    if blank is not None:
        raise AnchorlabError(f"{path}, line {blank:,} is blank, expected a label: give an answer to each query")
    return _column(path, [row[0] for row in rows]), ()


def _below_names(path: Path, rows: list[list[str]]) -> tuple[tuple[str, ...], list[list[str]]]:
    """The names of several columns, if there are any, and the lines that are answers.

    These are all, or all but a first one of names or of the classes' numbers.
    """
    names = [cell.strip() for cell in rows[0]]
    if not names[0]:
        raise AnchorlabError(
            f"{path} begins with a blank cell, as above a column of row numbers: leave that column out, in pandas by "
            "to_csv(index=False)"
        )
    if names == [str(place) for place in range(len(names))]:
        notice(f"the first line of {path}, {shortened(','.join(names))}, numbers the classes and is no answer")
        return (), rows[1:]
    if all(map(_is_number, names)):
        return (), rows
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise AnchorlabError(
            f"{path} has several columns '{shortened(twice)}', expected one of each class: rename them in its first "
            "line"
        )
    return tuple(names), rows[1:]


def _refuse_row_numbers(path: Path, names: Sequence[str], body: Sequence[Sequence[str]]) -> None:
    """Refuses a column that is called as one of row numbers and holds such: whole numbers, none of them twice."""
    for place, name in enumerate(names):
        cells = [row[place].strip() for row in body]
        if name.lower() in ROW_NUMBERS and all(map(_is_whole, cells)) and len(set(cells)) == len(cells):
            raise AnchorlabError(
                f"{path} has a column '{name}', which numbers the queries and is no class: leave that column out"
            )


def _refuse_separator(path: Path, cells: Sequence[str]) -> None:
    """Refuses a file without commas whose lines hold as many semicolons or tabs each, because these divide cells."""
    for sign, word in ((";", "semicolons"), ("\t", "tabs")):
        counts = {cell.count(sign) for cell in cells}
        if len(counts) == 1 and counts != {0}:
            raise AnchorlabError(f"{path} has {word} between its cells, expected commas: save it with commas")


def _column(path: Path, cells: list[str]) -> NDArray[Any]:
    """Labels: whole numbers, with a name above them or without, or names below the name of the column."""
    if all(map(_is_whole, cells[1:])) and len(cells) > 1:
        return np.array([_whole(cell) for cell in (cells if _is_whole(cells[0]) else cells[1:])], dtype=np.int64)
    if cells[0] in cells[1:]:
        raise AnchorlabError(
            f"{path} begins with the label '{shortened(cells[0])}': give the column a name in the first line, as label"
        )
    return np.array(cells[1:])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_whole(cell: str) -> bool:
    return cell.strip().isdecimal()


def _whole(cell: str) -> int:
    """The number in a cell; any that is too large for a class stands as the first of these, because it may be long."""
    digits = cell.strip().lstrip("0")
    return min(int(digits or "0"), _MOST_CLASSES) if len(digits) < 20 else _MOST_CLASSES


def _labels(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Labels as integers or as names."""
    if np.issubdtype(array.dtype, np.integer) and (array >= 0).all():
        if (array >= _MOST_CLASSES).any():
            raise AnchorlabError(
                f"{name} holds a label of {_MOST_CLASSES:,} or more: give the numbers of classes, counted from 0, or "
                "names in a .csv file"
            )
        return array
    if array.dtype.kind == "U":
        return array
    raise AnchorlabError(
        f"{name} holds one column of type {array.dtype}, expected labels: give whole numbers from 0 on, or names in a "
        ".csv file"
    )


def _numbers(array: NDArray[Any], name: str) -> Floats:
    if array.dtype.kind not in "fiu":
        raise AnchorlabError(f"{name} holds an array of type {array.dtype}: give real numbers")
    values = np.asarray(array, dtype=np.float64)
    if not np.isfinite(values).all():
        raise AnchorlabError(f"{name} holds numbers that are not finite: give the answers to all queries")
    if (np.abs(values) > _LARGEST).any():
        raise AnchorlabError(f"{name} holds numbers beyond {_LARGEST:.1e}: give the logits that a model answered with")
    return values
