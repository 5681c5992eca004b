"""The GPUs of this machine, and which of them each process of a suite sees. CUDA is not started for it."""

from __future__ import annotations

import math
import os

from anchorlab.errors import AnchorlabError
from anchorlab.models.accelerator import asked
from anchorlab.notices import notice

#: Most processes of one machine.
MOST_WORKERS = 1024


def shares(gpus: float) -> list[str]:
    """What each process sees, as CUDA_VISIBLE_DEVICES: one entry a process, in the order in which they start.

    The first processes get a GPU each, and only then do they share. Without a GPU, or where the CPU was asked for,
    there are no entries.

    Args:
        gpus: GPUs of each process: a fraction, of which as many share one GPU as fit, or a whole number; 0 where none
            was given, which means one.

    Raises:
        AnchorlabError: if this machine has fewer GPUs than one process wants, or the number is neither.
    """
    if gpus > 1 and gpus != int(gpus):
        raise AnchorlabError(
            f"a run cannot have {gpus:g} GPUs: give 'gpus' of the suite's resources a whole number, or a fraction "
            "below 1 that several runs share"
        )
    there = cards()
    if not there:
        if gpus and asked().device is None:
            notice(f"no GPU is there, so that runs compute on the CPU, although each was to have {gpus:g} GPUs")
        return []
    if gpus <= 1:
        # The quotient of a third is a little less than 3.
        return there * (min(math.floor(1 / gpus + 1e-9), MOST_WORKERS) if gpus else 1)
    each = int(gpus)
    if each > len(there):
        raise AnchorlabError(
            f"each run wants {each} GPUs, but {len(there)} can be seen here: lower 'gpus' of the suite's resources"
        )
    return [",".join(there[start : start + each]) for start in range(0, len(there) - each + 1, each)]


def cards() -> list[str]:
    """A name for CUDA_VISIBLE_DEVICES for every GPU that this process may use: a number, or what the user wrote."""
    import torch

    if asked().device == "cpu":
        return []
    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if count and visible is not None:
        return [name.strip() for name in visible.split(",")][:count]
    return [str(number) for number in range(count or torch.accelerator.device_count())]
