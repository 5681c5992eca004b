"""The rows of all scored tokens: on disk, because they may be more than memory holds; read some rows at a time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.files import check_writable, explained, written_atomically
from anchorlab.tokens.measurements import COLUMNS

#: Kinds of numbers of the columns; all others are float64.
_KINDS: dict[str, Any] = {
    "document": np.int64,
    "position": np.int32,
    "token": np.int32,
    "same_top": np.bool_,
    "rank": np.int32,
    "top_reference": np.int32,
    "top_candidate": np.int32,
}

#: Columns that the store keeps beside those that are written out.
_BESIDE = ("top_reference", "top_candidate")

#: Rows that are written to a parquet file at once.
_AT_ONCE = 500_000


class StoredColumn:
    """A column of the store, ``[N]``, of which memory holds the rows that are asked for.

    Args:
        file: holds it, and nothing else.
        dtype: of its numbers.
        size: N.
    """

    def __init__(self, file: Path, dtype: Any, size: int) -> None:
        self._file, self.dtype, self._size = file, np.dtype(dtype), size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, rows: Any) -> Any:
        if not isinstance(rows, slice):
            return self[rows : rows + 1][0]
        start, stop, _ = rows.indices(self._size)
        return np.fromfile(self._file, self.dtype, max(0, stop - start), offset=start * self.dtype.itemsize)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)


class TokenStore:
    """Columns of scored tokens in files of a temporary folder, which goes when the store is closed.

    Memory holds what is appended until it is written, and the rows that are read.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="anchorlab-tokens-"))
        self._files: dict[str, IO[bytes]] = {name: (self._folder / name).open("wb") for name in (*COLUMNS, *_BESIDE)}
        #: Rows of the store.
        self.tokens = 0

    def append(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Adds rows, all columns of ``[n]``."""
        with explained(self._folder):
            for name, file in self._files.items():
                file.write(np.ascontiguousarray(columns[name], dtype=_KINDS.get(name, np.float64)).tobytes())
        self.tokens += len(columns["document"])

    def column(self, name: str) -> StoredColumn:
        """One column, ``[N]``."""
        self._files[name].flush()
        return StoredColumn(self._folder / name, _KINDS.get(name, np.float64), self.tokens)

    def write_parquet(self, path: Path) -> None:
        """Writes the columns of ``COLUMNS`` to a parquet file, whole or not at all."""
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        check_writable(path)
        columns = {name: self.column(name) for name in COLUMNS}
        schema = pa.schema([(name, pa.from_numpy_dtype(values.dtype)) for name, values in columns.items()])
        with written_atomically(path) as file, ParquetWriter(file, schema) as writer:
            for start in range(0, self.tokens, _AT_ONCE):
                rows = {name: np.asarray(values[start : start + _AT_ONCE]) for name, values in columns.items()}
                writer.write_table(pa.table(rows, schema=schema))

    def close(self) -> None:
        """Removes the files."""
        for file in self._files.values():
            file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> TokenStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
