"""Tensors that stand for a larger one, which is made only where something needs all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map


class Deferred(Tensor):
    """The base of such tensors, with the shape, type and device of the larger one.

    What a class computes from less than the whole stands in its ``_without_whole``. Everything else first makes the
    whole, so that it gives the same result.
    """

    def whole(self) -> Tensor:
        """The tensor that this one stands for."""
        raise NotImplementedError

    def _without_whole(self, func: Callable[..., Any], args: Sequence[Any]) -> Any:
        """The result of a torch function of this tensor and ``args``; NotImplemented where it needs the whole."""
        raise NotImplementedError

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """What torch calls for every function of this tensor."""
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunctionSubclass():
            if func in _OF_SHAPE:
                return func(*args, **kwargs)
            if isinstance(args[0], Deferred) and not kwargs:
                result = args[0]._without_whole(func, args[1:])
                if result is not NotImplemented:
                    return result
            return func(*tree_map(_whole, args), **tree_map(_whole, dict(kwargs)))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """What torch calls where it does not ask ``__torch_function__``."""
        return func(*tree_map(_whole, args), **tree_map(_whole, dict(kwargs or {})))


def _whole(value: Any) -> Any:
    return value.whole() if isinstance(value, Deferred) else value


#: Functions of a tensor that look at nothing but its shape, type and device.
_OF_SHAPE = {
    Tensor.__len__,
    Tensor.size,
    Tensor.dim,
    Tensor.numel,
    *(getattr(Tensor, name).__get__ for name in ("shape", "dtype", "device", "ndim", "is_cuda", "requires_grad")),
    Tensor.nbytes.__get__,  # type: ignore[attr-defined]
}
