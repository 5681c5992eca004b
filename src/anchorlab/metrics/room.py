"""Memory that each thread keeps for its next piece of logits, because fresh memory takes as long as the arithmetic."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.statistics.arrays import Floats

#: Logits of one model in a piece: so few that five arrays of them stay near the processor, so many that a pass takes
#: much longer than the change of threads in the interpreter.
PIECE = 2**17


class _Own(threading.local):
    """A thread's memory."""

    floats: Floats = np.empty(0)


_OWN = _Own()


def pieces(N: int, C: int) -> Iterator[slice]:
    """Slices of at most ``PIECE`` logits, or of one row, which cover N rows of C."""
    at_once = max(1, PIECE // C)
    return (slice(start, min(start + at_once, N)) for start in range(0, N, at_once))


def room(arrays: int, n: int, C: int) -> Floats:
    """This thread's float64 ``[arrays, n, C]``, with what the last one left in it; the next call takes it away."""
    size = arrays * n * C
    if len(_OWN.floats) < size:
        _OWN.floats = np.empty(size)
    return _OWN.floats[:size].reshape(arrays, n, C)


def copied(logits: NDArray[Any]) -> NDArray[Any]:
    """A copy of float32 or float64 logits ``[n, C]`` in this thread's room."""
    copy = room(1, *logits.shape).reshape(-1).view(logits.dtype)[: logits.size].reshape(logits.shape)
    np.positive(logits, out=copy)  # np.copyto would keep the lock of the interpreter
    return copy
