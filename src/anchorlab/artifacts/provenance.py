"""Where a result comes from: the hash of its weights, the versions of the libraries, the time and memory it took."""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

import torch
from torch import Tensor, nn

from anchorlab.models.accelerator import find_device
from anchorlab.models.lora import stored_tensors

#: The least compute capability, before the point, of a GPU that has TF32 (NVIDIA's Ampere).
_TF32 = 8


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over name, shape and bytes of every parameter and buffer of the network, in the order of their names.

    Of an adapted network: of the base's, and of the adapter's by their stored names.
    """
    return tensors_hash(stored_tensors(model))


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """The same over a state_dict, as it is stored."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    """Whether all that decides the answers of two networks is the same, name by name, to the last bit."""
    ours, theirs = stored_tensors(first), stored_tensors(second)
    return ours.keys() == theirs.keys() and all(_same(value, theirs[name]) for name, value in ours.items())


def _same(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors are the same; quantised ones, which know no equality, by the numbers that they stand for."""
    plain = type(first) in (Tensor, nn.Parameter)
    if plain != (type(second) in (Tensor, nn.Parameter)) or first.dtype != second.dtype:
        return False
    return torch.equal(first, second) if plain else torch.equal(first.dequantize(), second.dequantize())


def versions() -> dict[str, str]:
    """Versions that a result may depend on."""
    libraries = ("anchorlab", "torch", "transformers", "accelerate", "numpy", "safetensors")
    return {"python": platform.python_version()} | {name: version(name) for name in libraries}


def versions_of_run() -> dict[str, str]:
    """The same of a run in this process; on CUDA also the GPU and its compute capability, which say how it rounds."""
    device = find_device()
    if device.type != "cuda":
        return versions()
    capability = ".".join(map(str, torch.cuda.get_device_capability(device)))
    return versions() | {"gpu": torch.cuda.get_device_name(device), "compute_capability": capability}


def has_tf32(recorded: Mapping[str, str]) -> bool:
    """Whether runs with these versions computed on a GPU that has TF32; several values have "and" between them."""
    found = [capability.partition(".")[0] for capability in recorded.get("compute_capability", "").split(" and ")]
    return any(major.isdecimal() and int(major) >= _TF32 for major in found)


@dataclass(frozen=True)
class RunCost:
    """What a run took.

    Attributes:
        seconds: its duration to the millisecond, the time before an interruption included.
        peak_bytes: the largest memory: allocated on the GPU during the run, or else resident in this process so far.
    """

    seconds: float = 0.0
    peak_bytes: int = 0


class RunMeter:
    """Measures time and memory of a run that begins now.

    On a GPU, the peak of what ran before is forgotten.

    Args:
        device: where the run computes.
        seconds_before: time that the run took before it was interrupted.
    """

    def __init__(self, device: torch.device, *, seconds_before: float = 0.0) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.init()  # type: ignore[no-untyped-call] # resetting fails before the allocator exists
            torch.cuda.reset_peak_memory_stats(device)
        self._started = time.perf_counter() - seconds_before

    def cost(self) -> RunCost:
        """What the run has taken so far."""
        return RunCost(round(time.perf_counter() - self._started, 3), _peak_bytes(self._device))


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
