"""Files of rows: CSV, tab-separated text, JSON and parquet, as Arrow tables in which every text keeps its spelling.

Python's own ``csv`` and ``json`` read them, because pandas and Arrow infer types, fill short rows, or do not know in
which line of the file they are. Rows become Arrow tables as they come, so 300,000 take a few seconds and little memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from anchorlab.data.json_rows import read_json_rows
from anchorlab.data.part_names import listed
from anchorlab.data.separated import read_separated, refuse_twice
from anchorlab.errors import AnchorlabError, first_line, shortened
from anchorlab.files import input_file

#: How the names of files of rows end.
TABLES = (".parquet", ".csv", ".tsv", ".jsonl", ".json")

_REMEDY = f"give a file of rows ({', '.join(TABLES)})"


def read_tables(files: Sequence[Path]) -> tuple[Any, tuple[int, ...], tuple[str, ...]]:
    """The rows of some files of one format, one after the other.

    Args:
        files: one or more, whose names end alike.

    Returns:
        A ``datasets.Dataset``, the number of rows of each file, and what was noticed, as sentences.

    Raises:
        AnchorlabError: naming the file, and the row or byte, if one cannot be read, holds no rows, or has other columns
            than the first.
    """
    from datasets import Dataset

    suffix = files[0].suffix.lower()
    if suffix not in TABLES:
        raise AnchorlabError(
            f"{files[0]} is not a file of rows: give one that ends in {listed(TABLES, ' or ')}, a folder, or a hub name"
        )
    for file in files:
        input_file(file, _REMEDY)
    read = {".csv": _commas, ".tsv": _tabs, ".parquet": _parquet}.get(suffix, read_json_rows)
    try:
        table, counts, notes = read(files)
        rows = Dataset(table)
    except AnchorlabError:
        raise
    except Exception as error:  # the exceptions of pyarrow and of the system have no common base
        raise AnchorlabError(
            f"{_named(files)} could not be read ({type(error).__name__}: {shortened(first_line(error))}): repair it, "
            "or give another file"
        ) from error
    for file, count in zip(files, counts, strict=True):
        if not count:
            raise AnchorlabError(f"{file} holds no rows, expected some below the names of the columns: add them")
    return rows, counts, notes


def _commas(files: Sequence[Path]) -> tuple[Any, tuple[int, ...], tuple[str, ...]]:
    return _joined(files, lambda file: read_separated(file, ","))


def _tabs(files: Sequence[Path]) -> tuple[Any, tuple[int, ...], tuple[str, ...]]:
    return _joined(files, lambda file: read_separated(file, "\t"))


def _parquet(files: Sequence[Path]) -> tuple[Any, tuple[int, ...], tuple[str, ...]]:
    return _joined(files, _read_parquet)


def _read_parquet(file: Path) -> tuple[Any, tuple[str, ...]]:
    """A parquet file; columns that it stores as codes of a dictionary, as pandas' categories, come as their values."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(file) as opened:
            table = opened.read()
    except Exception as error:  # pyarrow's own exceptions have no common base
        raise AnchorlabError(
            f"{file} could not be read ({type(error).__name__}: {shortened(first_line(error))}): make it again, or "
            "give another file"
        ) from error
    refuse_twice(file, table.column_names)
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            values = table.column(place).cast(field.type.value_type)
            table = table.set_column(place, field.with_type(field.type.value_type), values)
    return table, ()


def _joined(
    files: Sequence[Path], read: Callable[[Path], tuple[Any, tuple[str, ...]]]
) -> tuple[Any, tuple[int, ...], tuple[str, ...]]:
    """The tables of several files, which must have the same columns, of the same types and names of classes."""
    import pyarrow as pa
    from datasets import Features

    tables: list[Any] = []
    notes: list[str] = []
    for file in files:
        table, noticed = read(file)
        notes += noticed
        if tables:
            first, other = (Features.from_arrow_schema(of.schema) for of in (tables[0], table))
            if sorted(first) != sorted(other):
                raise AnchorlabError(
                    f"{file} has the columns {listed(other)}, but {files[0].name} has {listed(first)}: give both the "
                    "same columns"
                )
            column = next((name for name in first if first[name] != other[name]), None)
            if column is not None:
                raise AnchorlabError(
                    f"{file} stores the column '{shortened(column)}' as {shortened(str(other[column]))}, but "
                    f"{files[0].name} as {shortened(str(first[column]))}: write both alike"
                )
            table = table.select(tables[0].column_names).cast(tables[0].schema)
        tables.append(table)
    return pa.concat_tables(tables), tuple(len(table) for table in tables), tuple(notes)


def _named(files: Sequence[Path]) -> str:
    return str(files[0]) if len(files) == 1 else f"{files[0]} or one of the {len(files) - 1} files with it"
