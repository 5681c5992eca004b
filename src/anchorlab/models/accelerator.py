"""The device of this process, and whether it is one of several. Importing this does not import torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator


def launched() -> bool:
    """Whether a launcher started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def find_accelerator() -> Accelerator:
    """The accelerator of this process, which knows the device and the other processes.

    Accelerate takes the processes of a machine without GPU for strangers, each of which would do the whole
    run and write the same folder, unless it has to use the CPU.
    """
    import torch
    from accelerate import Accelerator

    if launched() and not torch.accelerator.is_available():
        os.environ.setdefault("ACCELERATE_USE_CPU", "true")
    return Accelerator()


def find_device() -> torch.device:
    """The device of this process."""
    device: torch.device = find_accelerator().device
    return device
