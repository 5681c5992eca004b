"""The device of this process, and whether it is one of several. Importing this does not import torch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anchorlab.errors import AnchorlabError, shortened

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator


def launched() -> bool:
    """Whether a launcher started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def find_accelerator() -> Accelerator:
    """The accelerator of this process, which knows the device and the other processes.

    Accelerate takes the processes of a machine without GPU for strangers, each of which would do the whole
    run and write the same folder, unless it has to use the CPU. It computes in the precision of the model, compiles
    nothing and gathers no gradients over steps, whatever a launcher or the configuration of accelerate says: the
    settings of a run say how it computes, and its record is of these.

    Raises:
        AnchorlabError: if this process already has an accelerator of mixed precision, or one that compiles.
    """
    import torch
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, is_initialized
    from accelerate.utils import GradientAccumulationPlugin

    if launched() and not torch.accelerator.is_available():
        os.environ.setdefault("ACCELERATE_USE_CPU", "true")
    if is_initialized():
        _check_precision(AcceleratorState().mixed_precision)
    accelerator = Accelerator(
        mixed_precision="no",
        dynamo_backend="no",
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
    )
    _check_precision(accelerator.mixed_precision)  # DeepSpeed has a configuration of its own
    _check_backend(accelerator.state.dynamo_plugin.backend.value.lower())  # of the first accelerator of the process
    return accelerator


def _check_precision(found: str) -> None:
    if found != "no":
        raise AnchorlabError(
            f"the accelerator of this process computes in mixed precision ({found}), which no record would name: make "
            "it with mixed_precision='no', and give the precision to the training or the injection"
        )


def _check_backend(found: str) -> None:
    if found != "no":
        raise AnchorlabError(
            f"the accelerator of this process compiles models ({found}), which no record would name: make it with "
            "dynamo_backend='no', and give compile to the training or the injection"
        )


def find_device() -> torch.device:
    """The device of this process."""
    device: torch.device = find_accelerator().device
    return device


@dataclass(frozen=True)
class Asked:
    """What the user asked for; None where it was left open.

    Attributes:
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        threads: of each process.
    """

    device: str | None = None
    threads: int | None = None


_ASKED: ContextVar[Asked | None] = ContextVar("asked", default=None)

#: Most threads that may be asked for.
_MOST_THREADS = 4096


def asked() -> Asked:
    """What ``computing_on`` was called with around this."""
    return _ASKED.get() or Asked()


@contextmanager
def computing_on(device: str | None = None, threads: int | None = None) -> Iterator[None]:
    """Inside, models compute on a device and in a number of threads, also in processes that this one starts.

    Variables of the environment choose the device, because processes inherit them. accelerate and CUDA read them when
    they begin, so this is for the beginning of a process, before anything was computed.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; None for the first GPU, or else the CPU.
        threads: of this process on the CPU; None for torch's own number.

    Raises:
        AnchorlabError: for a device that is not there, or an impossible number of threads.
    """
    if threads is not None and not 1 <= threads <= _MOST_THREADS:
        raise AnchorlabError(
            f"{shortened(str(threads))} threads are not possible: give --threads a number from 1 to {_MOST_THREADS:,}"
        )
    variables = {} if device is None else _variables(device)
    before = {name: os.environ.get(name) for name in variables}
    token = _ASKED.set(Asked(device, threads))
    try:
        os.environ.update(variables)
        with _in_threads(threads):
            yield
    finally:
        _ASKED.reset(token)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@contextmanager
def _in_threads(threads: int | None) -> Iterator[None]:
    """Inside, torch has this number of threads; None leaves torch as it is, and does not import it."""
    if threads is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _variables(device: str) -> dict[str, str]:
    """The variables of the environment by which a process computes on a device; CUDA is not started for it.

    Raises:
        AnchorlabError: for a device that is not there, or where a launcher has given out devices.
    """
    if launched():
        raise AnchorlabError(
            f"the device {shortened(device)} cannot be chosen for one of several processes: leave --device out, "
            "because their launcher has given each its own"
        )
    import torch

    count = torch.cuda.device_count()
    mps = torch.backends.mps.is_available()
    there = ["cpu", *(["cuda"] if count else []), *(f"cuda:{number}" for number in range(count)), *["mps"] * mps]
    if device not in there:
        raise AnchorlabError(
            f"the device '{shortened(device)}' is not there: give --device {' or '.join(there)}, or leave it out"
        )
    if device == "cpu":
        return {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
    number = re.fullmatch(r"cuda:(\d+)", device)
    if number is None:
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return {"CUDA_VISIBLE_DEVICES": visible.split(",")[int(number[1])].strip() if visible else number[1]}
