"""How far the memory rises during a run: what the run itself needs, whatever else the process holds.

On a GPU, PyTorch's allocator counts: the largest number of bytes that it had given out, less those at the beginning.
On a CPU under Linux, the resident memory of the process is read every 10 milliseconds and at the end. Memory that was
freed before would serve again without being counted, so that it goes back to the system first. A rise that lasts less
than 10 milliseconds may be missed.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from anchorlab.models.allocator import give_back_freed_memory

#: Seconds between two readings.
_EVERY = 0.01

#: What Linux says of a process's memory, in pages; the second number is what is resident.
_STATM = Path("/proc/self/statm")


def resident_bytes() -> int | None:
    """The memory of this process that is resident; None where the system does not say it."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


class MemoryGrowth:
    """Measures how far the memory rises in a ``with`` block.

    Args:
        device: where the block computes.

    Attributes:
        bytes: the rise, at least 0; None where it cannot be measured, and before the end.
    """

    def __init__(self, device: torch.device) -> None:
        self.bytes: int | None = None
        self._device = device
        self._before: int | None = None
        self._most = 0
        self._ended = threading.Event()
        self._reader = threading.Thread(target=self._read, name="memory", daemon=True)

    def __enter__(self) -> Self:
        if self._device.type == "cuda":
            torch.cuda.init()  # type: ignore[no-untyped-call] # resetting fails before the allocator exists
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)
            return self
        give_back_freed_memory()
        self._before = resident_bytes()
        if self._before is not None:
            self._most = self._before
            self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is None:
            return
        if self._device.type == "cuda":
            self._most = torch.cuda.max_memory_allocated(self._device)
        else:
            self._ended.set()
            self._reader.join()
        self.bytes = max(0, self._most - self._before)

    def _read(self) -> None:
        """Keeps the largest reading; the last one comes after the end."""
        ended = False
        while not ended:
            ended = self._ended.wait(_EVERY)
            self._most = max(self._most, resident_bytes() or 0)
