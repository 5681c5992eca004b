"""Counts in sentences."""

from __future__ import annotations


def several(count: int, what: str) -> str:
    """A number with its noun: ``1 run``, ``1,200 runs``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
