"""Counts in sentences."""

from __future__ import annotations


def several(count: int, what: str, plural: str | None = None) -> str:
    """A number with its noun: ``1 run``, ``1,200 runs``; ``plural`` is the noun's, where it has more than an s."""
    return f"{count:,} {what if count == 1 else plural or f'{what}s'}"
