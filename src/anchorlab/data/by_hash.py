"""Texts chosen by their hashes: a choice that looks random, needs no seed, and does not depend on the texts' order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from anchorlab.data.split import RawData


def first_by_hash(texts: Sequence[str], count: int) -> Tensor:
    """Where the texts with the least SHA-256 of their UTF-8 stand: ascending int64 ``[min(count, N)]``.

    Of equal texts the first is the lesser.
    """
    order = sorted(range(len(texts)), key=lambda index: _hash(texts[index]))
    return torch.tensor(sorted(order[:count]), dtype=torch.int64)


def with_smaller_test(raw: RawData, count: int) -> RawData:
    """The same with those ``count`` texts of its test part whose hashes are least; with all if it has no more."""
    assert raw.test is not None
    chosen = first_by_hash(raw.test.texts or (), count)
    reading = raw.reading
    if reading:
        note = f"{len(chosen):,} of {len(raw.test):,} texts, chosen by their hashes"
        reading = (*reading[:-1], replace(reading[-1], notes=(*reading[-1].notes, note)))
    return replace(raw, test=raw.test.select(chosen), reading=reading).known_as(raw.origin, "smaller test", count)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).digest()
