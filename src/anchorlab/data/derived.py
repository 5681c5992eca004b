"""Small values that take long to derive from data, such as hashes of splits, are kept beside the data in the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from anchorlab.cache.notes import note, recall
from anchorlab.cache.store import digest
from anchorlab.data.reader import reader
from anchorlab.data.split import RawData

Value = TypeVar("Value")


def derived(raw: RawData, what: tuple[Any, ...], derive: Callable[[], Value], valid: Callable[[Any], bool]) -> Value:
    """A value of JSON that examples and classes decide: from the cache, or derived and kept there.

    Of data without an origin it is derived each time.

    Args:
        raw: the data.
        what: which value, and all else that decides it, as values of JSON.
        derive: gives it.
        valid: whether something that was read is such a value.
    """
    origin = raw.origin
    if not origin:
        return derive()
    key = digest("derived", reader(), origin, what)
    value: Value = recall(key)
    if not valid(value):
        value = derive()
        note(key, value)
    return value
