"""Where and how precisely models compute: on which device, in which memory format and precision."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from anchorlab.errors import AnchorlabError, first_line
from anchorlab.models.allocator import keep_freed_memory

#: Torch writes these modules at run time, so that no checker of types knows what is in them.
_BACKENDS: Any = torch.backends
_FILLING: Any = torch.utils.deterministic


def mixed_precision(precision: str, device: torch.device) -> torch.autocast:
    """A context in which forward passes compute in bfloat16 where that is safe, if ``precision`` is ``bf16``.

    Not the accelerator's own option, which a process can set only once.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def exact_arithmetic(device: torch.device) -> Iterator[None]:
    """Same seed, same machine, same result, in full float32, whatever was set outside: for what is measured.

    CUDA's default for convolutions, TF32, rounds to 10 bits, and a CPU that was told to multiply in "medium" precision
    to 8 bits. Either would drown the small shifts that consistency is about.
    """
    with _arithmetic(device, fast=False):
        yield


@contextmanager
def run_arithmetic(device: torch.device, *, deterministic: bool = False) -> Iterator[None]:
    """The arithmetic of training and tuning, whatever was set outside; on a CPU it is exact.

    Args:
        device: where the model is.
        deterministic: on CUDA, exact float32 and algorithms that give the same bits each time, as far as torch has
            them; without, products and convolutions in TF32 by the algorithms that cuDNN measures to be fastest.

    Raises:
        AnchorlabError: if a part of the model has no deterministic algorithm.
    """
    refusing = deterministic and device.type == "cuda"
    with _arithmetic(device, fast=not deterministic), _deterministic_algorithms() if refusing else nullcontext():
        yield


@contextmanager
def _arithmetic(device: torch.device, *, fast: bool) -> Iterator[None]:
    """The switches of CUDA and of the CPU, and back; a CPU is always exact, and freed memory stays from then on.

    Torch has older switches of TF32 beside the newer ones, and parts of it raise where the two disagree. So both are
    set here. The newer ones are set at the leaves, because "none" there would mean whatever was set above them.
    """
    cudnn, mkldnn = _BACKENDS.cudnn, _BACKENDS.mkldnn
    if device.type == "cpu":
        keep_freed_memory()
    fast = fast and device.type == "cuda"
    older, newer = _older(), _newer()
    switches = cudnn.enabled, cudnn.benchmark, cudnn.deterministic
    try:
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic = True, fast, not fast
        torch.set_float32_matmul_precision("high" if fast else "highest")
        cudnn.allow_tf32 = fast
        for place in (_BACKENDS.cuda.matmul, cudnn.conv, cudnn.rnn):
            place.fp32_precision = "tf32" if fast else "ieee"
        for place in (mkldnn.matmul, mkldnn.conv, mkldnn.rnn):
            place.fp32_precision = "ieee"
        yield
    finally:
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic = switches
        torch.set_float32_matmul_precision(older[0])
        cudnn.allow_tf32 = older[1]
        _set_newer(newer)


def _older() -> tuple[str, bool]:
    """The older switches, of products and of convolutions.

    Torch refuses to read one that disagrees with the newer ones, and it is then what they are not.
    """
    try:
        products = torch.get_float32_matmul_precision()
    except RuntimeError:
        products = "highest" if _BACKENDS.cuda.matmul.fp32_precision == "tf32" else "high"
    try:
        return products, _BACKENDS.cudnn.allow_tf32
    except RuntimeError:
        return products, _BACKENDS.cudnn.conv.fp32_precision != "tf32"


def _places() -> tuple[Any, ...]:
    """Where torch keeps the newer switches; the first two hold for those after them that say "none"."""
    cudnn, mkldnn = _BACKENDS.cudnn, _BACKENDS.mkldnn
    on_cpu = mkldnn.matmul, mkldnn.conv, mkldnn.rnn
    return _BACKENDS, cudnn, *on_cpu, _BACKENDS.cuda.matmul, cudnn.conv, cudnn.rnn


def _newer() -> list[str]:
    """The newer switches as they were set, without what they inherit."""
    found = []
    for place in _places():
        found.append(place.fp32_precision)
        place.fp32_precision = "none"
    _set_newer(found)
    return found


def _set_newer(values: list[str]) -> None:
    for place, value in zip(_places(), values, strict=True):
        place.fp32_precision = value


#: What torch wants to find in the environment, or else refuses to multiply matrices deterministically. It gives cuBLAS
#: a workspace for each stream by itself, so this is early enough when cuBLAS runs already.
_CUBLAS, _WORKSPACES = "CUBLAS_WORKSPACE_CONFIG", (":4096:8", ":16:8")


@contextmanager
def _deterministic_algorithms() -> Iterator[None]:
    """Operations of torch that have a deterministic algorithm use it, and others are refused."""
    before = torch.get_deterministic_debug_mode()
    filled = _FILLING.fill_uninitialized_memory
    workspaces = os.environ.get(_CUBLAS)
    try:
        if workspaces not in _WORKSPACES:
            os.environ[_CUBLAS] = _WORKSPACES[0]
        torch.use_deterministic_algorithms(mode=True)
        # Filling memory that is about to be written costs time and makes nothing more deterministic.
        _FILLING.fill_uninitialized_memory = False
        yield
    except RuntimeError as error:
        if "does not have a deterministic implementation" not in str(error):
            raise
        raise AnchorlabError(
            f"the run cannot be deterministic ({first_line(error)}): leave deterministic out, or take another model"
        ) from error
    finally:
        torch.set_deterministic_debug_mode(before)
        _FILLING.fill_uninitialized_memory = filled
        if workspaces is None:
            os.environ.pop(_CUBLAS, None)
        else:
            os.environ[_CUBLAS] = workspaces


def move_to_device(model: nn.Module, device: torch.device) -> nn.Module:
    """The model, moved to a device in the memory format that was measured to be the faster one there.

    That is channels-last for networks with two-dimensional convolutions (benchmarks/step.py).
    """
    convolutional = any(isinstance(module, nn.Conv2d) for module in model.modules())
    return _to(model, device, torch.channels_last if convolutional else torch.contiguous_format)


def move_to_cpu(model: nn.Module) -> nn.Module:
    """The model, moved back to the CPU in the ordinary memory format and evaluation mode."""
    return _to(model, torch.device("cpu"), torch.contiguous_format).eval()


@contextmanager
def lent(device: torch.device, *models: nn.Module) -> Iterator[None]:
    """Inside, models of the caller's are on a device; after that, each is where it was, without a copy in memory."""
    before = [device_of(model) for model in models]
    try:
        for model in models:
            model.to(device)
        yield
    finally:
        for model, own in zip(models, before, strict=True):
            model.to(own)


def device_of(model: nn.Module) -> torch.device:
    """The device of a model's weights; the CPU if it has none."""
    tensors = itertools.chain(model.parameters(), model.buffers())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))


def lacks_double(device: torch.device) -> bool:
    """Whether a device has no float64; Apple's GPU has none."""
    return device.type == "mps"


def in_double(values: Tensor) -> Tensor:
    """The same values in float64, where they are, or on the CPU if there is no float64 where they are."""
    return (values.cpu() if lacks_double(values.device) else values).double()


def _to(model: nn.Module, device: torch.device, memory_format: torch.memory_format) -> nn.Module:
    moved: nn.Module = model.to(device=device, memory_format=memory_format)  # type: ignore[call-overload]
    return moved
