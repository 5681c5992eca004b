"""Rows of a large tensor that are chosen and not copied, so that splits of mapped data take no memory of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from anchorlab.data.deferred import Deferred

#: From so many bytes on, rows are not copied.
LARGE = 2**24


class Chosen(Deferred):
    """A tensor ``[N, …]`` of some rows of another.

    Choosing rows of it copies these alone, and a device that it is on already gives itself. Everything else first makes
    the copy that this one stands for, once, so that it gives the same result as that copy; a change goes there too.

    Args:
        base: the rows to choose from, ``[M, …]``.
        places: which of them, int64 ``[N]``, on the same device.
    """

    base: Tensor
    places: Tensor
    copy: Tensor | None

    @staticmethod
    def __new__(cls, base: Tensor, places: Tensor) -> Chosen:
        """The tensor, of the base's type and on its device."""
        shape = (len(places), *base.shape[1:])
        new: Chosen = Tensor._make_wrapper_subclass(cls, shape, dtype=base.dtype, device=base.device)
        new.base, new.places, new.copy = base, places, None
        return new

    def __init__(self, base: Tensor, places: Tensor) -> None:
        pass  # __new__ did it

    def whole(self) -> Tensor:
        """All rows, copied; the same tensor each time."""
        if self.copy is None:
            self.copy = self.base.index_select(0, self.places)
        return self.copy

    def rows(self, indices: Tensor | slice | int) -> Tensor:
        """Some rows, copied."""
        return self.base[self.places[indices]] if self.copy is None else self.copy[indices]

    def _without_whole(self, func: Callable[..., Any], args: Sequence[Any]) -> Any:
        """The result of a function that needs no copy of all rows; NotImplemented for the others."""
        if func is Tensor.__getitem__ and _chooses_rows(args[0]):
            return self.rows(args[0])
        if func in (Tensor.index_select, torch.index_select) and args[0] == 0 and self.copy is None:
            return self.base.index_select(0, self.places.index_select(0, args[1]))
        if func is Tensor.to and len(args) == 1 and isinstance(args[0], (str, torch.device)):
            return self if torch.empty(0, device=args[0]).device == self.device else self.whole_on(args[0])
        if func is Tensor.cpu and not args and self.device.type == "cpu":
            return self
        if func == Tensor._version.__get__ and self.copy is None:  # type: ignore[attr-defined]
            return self.base._version
        return NotImplemented

    def whole_on(self, device: str | torch.device) -> Tensor:
        """All rows on another device; no copy stays on this one."""
        return (self.base.index_select(0, self.places) if self.copy is None else self.copy).to(device)


def chosen(values: Tensor, indices: Tensor) -> Tensor:
    """Rows of a tensor, int64 ``[M]``: copied where they are small, else a ``Chosen``."""
    plain = type(values) is Tensor or (isinstance(values, Chosen) and values.copy is None)
    if not plain or len(indices) * values[:1].nbytes < LARGE:
        return values[indices]
    if isinstance(values, Chosen):
        return Chosen(values.base, values.places[indices])
    return Chosen(values, indices.to(values.device))


def _chooses_rows(key: Any) -> bool:
    if isinstance(key, slice) or type(key) is int:
        return True
    return type(key) is Tensor and key.dtype == torch.int64 and key.ndim == 1
