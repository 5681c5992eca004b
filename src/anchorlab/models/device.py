"""Where and how precisely models compute: on which device, in which memory format and precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn


def mixed_precision(precision: str, device: torch.device) -> torch.autocast:
    """A context in which forward passes compute in bfloat16 where that is safe, if ``precision`` is ``bf16``.

    Not the accelerator's own option, which a process can set only once.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def exact_arithmetic(device: torch.device) -> AbstractContextManager[None]:
    """Same seed, same machine, same result, in full float32: on CUDA, convolutions need flags for it.

    Their default, TF32, rounds to 10 bits, which would drown the small shifts that consistency is about.
    """
    if device.type != "cuda":
        return nullcontext()
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


def move_to_device(model: nn.Module, device: torch.device) -> nn.Module:
    """The model, moved to a device in the memory format that was measured to be the faster one there.

    That is channels-last for networks with two-dimensional convolutions (benchmarks/step.py).
    """
    convolutional = any(isinstance(module, nn.Conv2d) for module in model.modules())
    return _to(model, device, torch.channels_last if convolutional else torch.contiguous_format)


def move_to_cpu(model: nn.Module) -> nn.Module:
    """The model, moved back to the CPU in the ordinary memory format and evaluation mode."""
    return _to(model, torch.device("cpu"), torch.contiguous_format).eval()


def _to(model: nn.Module, device: torch.device, memory_format: torch.memory_format) -> nn.Module:
    moved: nn.Module = model.to(device=device, memory_format=memory_format)  # type: ignore[call-overload]
    return moved
