"""Arrays of many runs, kept in a temporary file, because in memory those of thousands of runs need gigabytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from tempfile import SpooledTemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Bytes up to which the file is none yet, but memory.
_IN_MEMORY = 2**27


class Kept:
    """Arrays by the name of a run and their own; what was put in is read again when it is asked for."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  (it goes with this object)
        self._end = 0
        self._runs: dict[str, dict[str, tuple[int, np.dtype[Any], int]]] = {}

    def __contains__(self, run: str) -> bool:
        return run in self._runs

    def put(self, run: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keeps the arrays ``[N]`` of a run."""
        self._file.seek(self._end)
        self._runs[run] = {}
        for name, array in arrays.items():
            self._runs[run][name] = (self._end, array.dtype, len(array))
            self._end += self._file.write(array.tobytes())

    def of(self, run: str) -> Mapping[str, NDArray[Any]]:
        """The arrays of a run, each read when it is asked for."""
        return _OfRun(self, run)

    def read(self, run: str, name: str) -> NDArray[Any]:
        """An array of a run; raises KeyError where there is none."""
        place, dtype, count = self._runs[run][name]
        self._file.seek(place)
        return np.frombuffer(self._file.read(count * dtype.itemsize), dtype=dtype)

    def names(self, run: str) -> Iterator[str]:
        """The names of a run's arrays."""
        return iter(self._runs[run])


class _OfRun(Mapping[str, NDArray[Any]]):
    def __init__(self, kept: Kept, run: str) -> None:
        self._kept, self._run = kept, run

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._kept.read(self._run, name)

    def __iter__(self) -> Iterator[str]:
        return self._kept.names(self._run)

    def __len__(self) -> int:
        return sum(1 for _ in self)
