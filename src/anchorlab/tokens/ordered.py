"""Numbers in order, more of them than memory should hold: runs that are sorted one by one wait in files."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.statistics.arrays import Floats

#: Numbers of a run, which memory holds while it is sorted: 8 MB.
RUN = 2**20


class Ordered:
    """The numbers of some pieces by their rank: ``ordered[0]`` is the least one.

    One run stays in memory. Of several, a number is found by bisection: how many numbers of all runs are not above it
    decides on which side the wanted one lies, and 64 such questions find any float64.

    Args:
        pieces: the numbers, ``[n]`` each, infinite ones included, without NaN.
    """

    def __init__(self, pieces: Iterable[NDArray[Any]]) -> None:
        self._runs: list[Floats] = []
        self._size = 0
        held = np.empty(0)
        for piece in pieces:
            held = np.concatenate([held, piece])
            while len(held) > RUN:
                self._put_away(held[:RUN])
                held = held[RUN:]
        held.sort()
        self._runs.append(held)
        self._size += len(held)

    def _put_away(self, run: Floats) -> None:
        """Writes a run, sorted, to a file without a name, of which no more is in memory than is looked at."""
        with tempfile.TemporaryFile(prefix="anchorlab-ordered-") as file:
            file.write(np.sort(run).tobytes())
            file.flush()
            self._runs.append(np.memmap(file, np.float64, mode="r", shape=(len(run),)))
        self._size += len(run)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, rank: int) -> float:
        if len(self._runs) == 1:
            return float(self._runs[0][rank])
        low = min(_key(float(run[0])) for run in self._runs if len(run))
        high = max(_key(float(run[-1])) for run in self._runs if len(run))
        while low < high:
            middle = (low + high) // 2
            value = _number(middle)
            if sum(int(np.searchsorted(run, value, side="right")) for run in self._runs) > rank:
                high = middle
            else:
                low = middle + 1
        return _number(low) + 0.0  # so that 0 has no sign


def _key(number: float) -> int:
    """An integer for each float64, in the order of the numbers."""
    bits = int.from_bytes(struct.pack(">d", number), signed=True)
    return bits if bits >= 0 else bits ^ 0x7FFFFFFFFFFFFFFF


def _number(key: int) -> float:
    """The reverse of ``_key``."""
    (number,) = struct.unpack("<d", struct.pack("<q", key if key >= 0 else key ^ 0x7FFFFFFFFFFFFFFF))
    return float(number)
