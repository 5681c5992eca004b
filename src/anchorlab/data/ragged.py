"""Rows of different lengths without their padding, so that one long text does not make all others long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from anchorlab.data.deferred import Deferred

#: Below this many elements, padding included, rows are stored with their padding: they need little memory anyway.
_SMALL = 2**20


class Ragged(Deferred):
    """A tensor ``[N, L]`` whose rows end in padding that is not stored.

    Choosing rows, moving to a device and sums of rows work on what is stored. Everything else first makes the padded
    tensor that this one stands for, so that it gives the same result as that one.

    Args:
        values: the rows without padding, one after the other, ``[T]``.
        sizes: values of each row, int64 ``[N]``; together T.
        width: L, no less than the largest of ``sizes``.
        padding: fills the rest of each row.
    """

    stored: Tensor
    sizes: Tensor
    starts: Tensor
    padding: int

    @staticmethod
    def __new__(cls, values: Tensor, sizes: Tensor, width: int, padding: int = 0) -> Ragged:
        """The tensor, of the values' type and on their device."""
        shape = (len(sizes), width)
        new: Ragged = Tensor._make_wrapper_subclass(cls, shape, dtype=values.dtype, device=values.device)
        new.stored, new.sizes, new.padding = values, sizes, padding
        new.starts = sizes.cumsum(0) - sizes
        return new

    def __init__(self, values: Tensor, sizes: Tensor, width: int, padding: int = 0) -> None:
        pass  # __new__ did it

    def padded(self, indices: Tensor | slice = slice(None), width: int | None = None) -> Tensor:
        """Some rows with their padding, ``[M, width]``.

        Args:
            indices: which rows, int64 ``[M]`` or a slice.
            width: values of each row that are kept; None for all.
        """
        starts, sizes = self.starts[indices], self.sizes[indices]
        columns = torch.arange(self.shape[1] if width is None else width, device=self.stored.device)
        if len(self.stored) == 0:
            return self.stored.new_full((len(sizes), len(columns)), self.padding)
        places = (starts.unsqueeze(1) + columns).clamp_(max=len(self.stored) - 1)
        return self.stored[places].masked_fill_(columns >= sizes.unsqueeze(1), self.padding)

    def whole(self) -> Tensor:
        """All rows with their padding, ``[N, L]``."""
        return self.padded()

    def chosen(self, indices: Tensor | slice) -> Ragged:
        """Some rows, int64 ``[M]`` or a slice, copied."""
        sizes = self.sizes[indices]
        before = sizes.cumsum(0) - sizes
        shifts = torch.repeat_interleave(self.starts[indices] - before, sizes)
        places = shifts.add_(torch.arange(len(shifts), device=shifts.device))
        return Ragged(self.stored[places], sizes, self.shape[1], self.padding)

    def _without_whole(self, func: Callable[..., Any], args: Sequence[Any]) -> Any:
        """The result of a function that needs no padding; NotImplemented for the others."""
        if func is Tensor.__getitem__:
            (key,) = args
            if isinstance(key, slice) or (type(key) is Tensor and key.dtype == torch.int64 and key.ndim == 1):
                return self.chosen(key)
        if func is Tensor.sum and tuple(args) == (1,) and self.padding == 0:
            rows = torch.repeat_interleave(torch.arange(len(self.sizes), device=self.sizes.device), self.sizes)
            totals = torch.zeros(len(self.sizes), dtype=torch.int64, device=self.sizes.device)
            return totals.index_add_(0, rows, self.stored.long())
        if func is Tensor.to and len(args) == 1 and isinstance(args[0], (str, torch.device)):
            return Ragged(self.stored.to(args[0]), self.sizes.to(args[0]), self.shape[1], self.padding)
        if func is Tensor.cpu and not args:
            return Ragged(self.stored.cpu(), self.sizes.cpu(), self.shape[1], self.padding)
        return NotImplemented


def saves_memory(rows: int, width: int, values: int) -> bool:
    """Whether ``[rows, width]`` with padding would be large, and most of it padding."""
    return rows * width > max(_SMALL, 2 * values)
