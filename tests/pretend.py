"""A GPU that is not there: tensors say that they are on ``cuda:0`` and hold their values on the CPU.

Inside ``pretend_card`` all code computes as usual, with the CPU's values, and what fails on a real GPU fails here too:
an operation on tensors of two devices, a CPU generator for numbers on the GPU, and ``numpy()``. What makes the program
wait for the GPU is noted with its place.

Python sees the GPU. The machinery below Python sees the CPU, because it asks for what only a GPU has, such as streams.
"""

from __future__ import annotations

import copy
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from tests.devices import accelerated_by

CARD, CPU = torch.device("cuda", 0), torch.device("cpu")

aten = torch.ops.aten

#: What returns values to Python, or tensors whose size depends on values: the program waits for the GPU.
_WAITING = {
    aten._local_scalar_dense,
    aten._unique2,
    aten.bincount,
    aten.equal,
    aten.is_nonzero,
    aten.masked_select,
    aten.nonzero,
    aten.unique_dim,
}

_INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}

#: Operations that take a number on the CPU, though torch does not say that they work element by element.
_TAKES_NUMBERS = {aten.fill, aten.fill_, aten.masked_fill, aten.masked_fill_, aten.where, *_INDEXING}


class OnCard(Tensor):
    """A tensor on the pretended GPU.

    Attributes:
        value: the same tensor on the CPU; the values of views share their memory.
    """

    value: Tensor

    @staticmethod
    def __new__(cls, value: Tensor) -> OnCard:
        if value.dtype == torch.float64 and not _doubles:
            raise TypeError("Cannot convert a tensor to float64 dtype, because the GPU has none")
        made: OnCard = Tensor._make_wrapper_subclass(
            cls, value.size(), value.stride(), value.storage_offset(), dtype=value.dtype, layout=value.layout
        )
        made.value = value
        return made

    def __init__(self, value: Tensor) -> None:
        pass

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})

    device = property(lambda _: CARD)
    is_cuda = property(lambda _: True)
    is_cpu = property(lambda _: False)

    def get_device(self) -> int:
        return 0

    def data_ptr(self) -> int:
        return self.value.data_ptr()

    def untyped_storage(self) -> Any:
        return self.value.untyped_storage()

    def __repr__(self) -> str:
        return f"OnCard({self.value!r})"

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")

    __array__ = numpy

    def tolist(self) -> Any:
        return self.detach().cpu().tolist()

    @property
    def data(self) -> Tensor:
        return self.detach()

    @data.setter
    def data(self, new: Tensor) -> None:
        if not isinstance(new, OnCard):
            raise RuntimeError("incompatible tensor type: the data are on the CPU")
        Tensor.data.__set__(self, new)
        self.value = new.value

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) not in memo:
            made: Tensor = OnCard(copy.deepcopy(self.value))
            if isinstance(self, nn.Parameter):
                made = nn.Parameter(made, self.requires_grad)
            else:
                made.requires_grad_(self.requires_grad)
            made.grad = copy.deepcopy(self.grad, memo)
            memo[id(self)] = made
        copied: Tensor = memo[id(self)]
        return copied


class Watch(TorchDispatchMode):
    """What happened on the pretended GPU.

    Attributes:
        waits: the places that waited for it, as ``folder/file:line operation``, in the order of time.
        operations: how many operations it did.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})

    def note(self, operation: str) -> None:
        self.waits.append(f"{_place()} {operation}")


_watch: Watch | None = None

#: Whether the GPU has float64.
_doubles = True


@contextmanager
def pretend_card(*, doubles: bool = True) -> Iterator[Watch]:
    """Inside, the accelerator takes a GPU that is not there; yields what happens on it.

    Models and data that are on the CPU stay there until they are moved.

    Args:
        doubles: whether the GPU has float64, as all but Apple's have.
    """
    global _watch, _doubles
    with ExitStack() as stack:
        stack.callback(setattr, sys.modules[__name__], "_doubles", _doubles)
        _doubles = doubles
        if not doubles:
            stack.enter_context(mock.patch("anchorlab.models.device.lacks_double", lambda where: where.type == "cuda"))
        stack.enter_context(accelerated_by(CARD))
        for target, name, value in _stand_ins():
            stack.enter_context(mock.patch.object(target, name, value))
        _watch = watch = Watch()
        stack.enter_context(watch)
        stack.enter_context(_Calls())
        try:
            yield watch
        finally:
            _watch = None


def _stand_ins() -> Iterator[tuple[Any, str, Any]]:
    """What of torch needs a real GPU, and what stands in for it."""
    if not torch.cuda.is_available():
        yield torch.cuda, "_lazy_init", lambda: None
    yield torch.cuda, "get_device_name", lambda *_: "pretended"
    yield torch.cuda, "get_device_capability", lambda *_: (9, 0)
    yield torch.cuda, "reset_peak_memory_stats", lambda *_: None
    yield torch.cuda, "max_memory_allocated", lambda *_: 2**30
    yield torch.cuda, "memory_allocated", lambda *_: 2**29
    yield torch.cuda, "get_rng_state", lambda *_: torch.get_rng_state()
    yield torch.cuda, "set_rng_state", lambda *_: None
    yield torch.cuda, "manual_seed", lambda _: None
    yield torch.cuda, "synchronize", lambda *_: None
    yield Tensor, "pin_memory", _pinned
    yield torch, "autocast", lambda _, **options: _autocast("cpu", **options)
    yield torch._C, "_group_tensors_by_device_and_dtype", _grouped
    yield nn.Module, "to", _module_to
    yield nn.Module, "cpu", lambda module: _module_to(module, "cpu")
    yield nn.Module, "cuda", lambda module, *_: _module_to(module, CARD)
    # A class of tensors in Python cannot be used in inference mode.
    yield torch.inference_mode, "__enter__", lambda context: _no_grad(context).__enter__()
    yield torch.inference_mode, "__exit__", lambda context, *error: context.without.__exit__(*error)


def _pinned(tensor: Tensor, *_: Any) -> Tensor:
    if isinstance(tensor, OnCard):
        raise RuntimeError(f"cannot pin '{tensor.type()}' only dense CPU tensors can be pinned")
    return tensor.clone()


_autocast = torch.autocast
_group = torch._C._group_tensors_by_device_and_dtype


def _grouped(lists: Any, with_indices: bool = False) -> Any:
    """Lists of tensors of one device and type each: clipping and optimisers move numbers to the device that is said."""
    groups = _group(lists, with_indices)
    return {
        (CARD if isinstance(columns[0][0], OnCard) else device, dtype): (columns, indices)
        for (device, dtype), (columns, indices) in groups.items()
    }


def _no_grad(context: Any) -> Any:
    context.without = torch.no_grad()
    return context.without


# Calls from Python


class _Calls(TorchFunctionMode):
    """What Python calls, which may move between the devices."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        operands = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = any(isinstance(_innermost(tensor), OnCard) for tensor in operands)
        _beside_card.append(there and "device" not in kwargs)
        try:
            return _MOVES.get(func, func)(*args, **kwargs)
        finally:
            _beside_card.pop()


#: Of each call of torch that runs now, whether what torch makes inside is on the GPU, as its operands are: below Python
#: these are on the CPU.
_beside_card: list[bool] = []


def _innermost(tensor: Tensor) -> Tensor:
    """The tensor that torch.func wraps."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor


class _Move(torch.autograd.Function):
    """To the other device, and the gradient back."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.to_card = not isinstance(tensor, OnCard)
        return OnCard(tensor.detach().clone()) if ctx.to_card else tensor.value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.value.clone() if ctx.to_card else OnCard(gradient)


def _to(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """``Tensor.to``."""
    if args and isinstance(args[0], Tensor):
        args = (args[0].device, args[0].dtype, *args[1:])
    copied = kwargs.pop("copy", False)
    device, dtype, non_blocking, layout = torch._C._nn._parse_to(*args, **kwargs)
    target = tensor.device if device is None else device
    if (target.type == CARD.type) != isinstance(tensor, OnCard):
        if not non_blocking and _watch is not None:
            _watch.note("copy between devices")
        tensor, copied = _Move.apply(tensor), False
    options = {} if layout is None else {"memory_format": layout}
    if target.type not in (CARD.type, "cpu"):
        options["device"] = target
    return Tensor.to(tensor, dtype=tensor.dtype if dtype is None else dtype, copy=copied, **options)


def _cpu(tensor: Tensor, **_: Any) -> Tensor:
    return _to(tensor, "cpu")


def _cuda(tensor: Tensor, *_: Any, non_blocking: bool = False, **__: Any) -> Tensor:
    return _to(tensor, CARD, non_blocking=non_blocking)


def _tensor(data: Any, *, device: Any = None, requires_grad: bool = False, **options: Any) -> Tensor:
    made = torch.tensor(data, **options)  # where a context of torch may say, as on "meta"
    return (made if device is None else _to(made, device)).requires_grad_(requires_grad)


def _new_tensor(tensor: Tensor, data: Any, **options: Any) -> Tensor:
    return _tensor(data, **{"device": tensor.device, "dtype": tensor.dtype} | options)


_MOVES: dict[Any, Callable[..., Any]] = {
    Tensor.to: _to,
    Tensor.cpu: _cpu,
    Tensor.cuda: _cuda,
    Tensor.new_tensor: _new_tensor,
    torch.tensor: _tensor,
}


def _module_to(module: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
    """``Module.to``: a parameter that changes its device becomes another object, because its class is another."""
    device, dtype, non_blocking, layout = torch._C._nn._parse_to(*args, **kwargs)
    moved: dict[int, Tensor] = {}

    def move(tensor: Tensor) -> Tensor:
        if id(tensor) not in moved:
            options = {"memory_format": layout} if layout is not None and tensor.dim() in (4, 5) else {}
            floating = tensor.dtype if dtype is None or not tensor.is_floating_point() else dtype
            there = tensor.device if device is None else device
            new = tensor.detach().to(there, floating, non_blocking, **options)
            if new.device == tensor.device:
                tensor.data = new
                new = tensor
            elif isinstance(tensor, nn.Parameter):
                new = nn.Parameter(new, tensor.requires_grad)
            moved[id(tensor)] = new
        return moved[id(tensor)]

    for each in module.modules():
        for tensors in (each._parameters, each._buffers):
            tensors.update({name: move(tensor) for name, tensor in tensors.items() if tensor is not None})
    return module


# Operations


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The result of an operation, computed on the CPU; it is on the GPU if an operand is, or the device asked for."""
    operands = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    on_card = [tensor for tensor in operands if isinstance(tensor, OnCard)]
    lands_there = _lands_on_card(kwargs.get("device"), operands, on_card)
    if on_card or lands_there:
        _refuse_two_devices(func, args, operands, on_card)
        _refuse_cpu_generator(func, args, kwargs)
        _note(func, args, kwargs, on_card)
    if kwargs.get("device") is not None and lands_there:
        kwargs = {**kwargs, "device": CPU}
    result = func(*tree_map(_value, args), **tree_map(_value, kwargs))
    if not lands_there:
        return result
    written = {id(tensor.value): tensor for tensor in on_card}
    return tree_map(lambda leaf: _wrapped(func, leaf, written), result)


def _lands_on_card(asked: Any, operands: list[Tensor], on_card: list[OnCard]) -> bool:
    """Whether the result of an operation is on the GPU."""
    if asked is not None and torch.device(asked).type == CARD.type:
        return True
    if operands and asked is None:
        return bool(on_card)
    return bool(_beside_card) and _beside_card[-1] and (bool(on_card) or not operands)


def _value(leaf: Any) -> Any:
    return leaf.value if isinstance(leaf, OnCard) else leaf


def _wrapped(func: Any, leaf: Any, written: dict[int, OnCard]) -> Any:
    """A result on the GPU: the operand itself if the operation wrote into it."""
    if not isinstance(leaf, Tensor):
        return leaf
    if id(leaf) not in written:
        return OnCard(leaf.detach())
    operand = written[id(leaf)]
    if operand.shape != leaf.shape:
        Tensor.data.__set__(operand, OnCard(leaf))
    return operand


def _refuse_two_devices(func: Any, args: Any, operands: list[Tensor], on_card: list[OnCard]) -> None:
    """Raises RuntimeError as a GPU does, if operands are on two devices."""
    packet = func.overloadpacket
    if len(on_card) in (0, len(operands)) or packet is aten.copy_:
        return
    elsewhere = [tensor for tensor in operands if not isinstance(tensor, OnCard)]
    if packet in _INDEXING and isinstance(args[0], OnCard):
        elsewhere = [tensor for tensor in args[2:] if isinstance(tensor, Tensor) and not isinstance(tensor, OnCard)]
    takes_numbers = torch.Tag.pointwise in func.tags or packet in _TAKES_NUMBERS
    writes_elsewhere = func._schema.is_mutable and isinstance(args[0], Tensor) and not isinstance(args[0], OnCard)
    if writes_elsewhere or (elsewhere and not takes_numbers) or any(tensor.dim() for tensor in elsewhere):
        raise RuntimeError(f"Expected all tensors to be on the same device, but {func} got some on cuda:0 and on cpu")


def _refuse_cpu_generator(func: Any, args: Any, kwargs: dict[str, Any]) -> None:
    for leaf in tree_leaves((args, kwargs)):
        if isinstance(leaf, torch.Generator) and leaf.device.type == "cpu":
            raise RuntimeError(f"Expected a 'cuda' device type for generator but {func} got one of the cpu")


def _note(func: Any, args: Any, kwargs: dict[str, Any], on_card: list[OnCard]) -> None:
    """Notes an operation, and whether the program waits for it."""
    if _watch is None:
        return
    _watch.operations += 1
    packet = func.overloadpacket
    if packet is aten.copy_:
        waits = isinstance(args[0], OnCard) != isinstance(args[1], OnCard) and not any(args[2:])
    elif packet is aten._to_copy:  # from Python's numbers or from the CPU
        waits = not on_card and not kwargs.get("non_blocking")
    elif packet in _INDEXING:
        indices = [index for index in args[1] if index is not None]
        waits = any(index.dtype in (torch.bool, torch.uint8) or not isinstance(index, OnCard) for index in indices)
    else:
        waits = bool(on_card) and (packet in _WAITING or func is aten.repeat_interleave.Tensor)
    if waits:
        _watch.note(str(packet))


def _place() -> str:
    """The innermost line that runs now, libraries aside."""
    libraries = Path(torch.__file__).parents[1]
    frames = [
        frame
        for frame in traceback.extract_stack()
        if frame.filename != __file__ and libraries not in Path(frame.filename).parents
    ]
    return f"{'/'.join(Path(frames[-1].filename).parts[-2:])}:{frames[-1].lineno}"
