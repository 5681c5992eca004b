"""What a new process does not know."""

from __future__ import annotations

from anchorlab.data import load, task


def forget() -> None:
    """Forgets the data that this process holds, as if it were a new one."""
    load._raw.cache_clear()
    task._encoded.cache_clear()
