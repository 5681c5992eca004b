"""What happens when a batch does not fit into memory: one sentence, with the batch size to take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from anchorlab.errors import AnchorlabError, first_line, is_out_of_memory


@contextmanager
def batch_in_memory(name: str, batch_size: int, device: torch.device) -> Iterator[None]:
    """Inside, steps are taken on batches of a size.

    The size that the refusal names is the largest power of two up to half of it: what a step needs grows with the
    batch, and where it failed, how much more it needs was not known yet.

    Args:
        name: what takes the steps, for messages.
        batch_size: examples in a batch, over all processes.
        device: where the steps are taken.

    Raises:
        AnchorlabError: if the memory is not enough.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        where = "the memory" if device.type == "cpu" else f"the memory of {device}"
        smaller = 2 ** ((batch_size // 2).bit_length() - 1) if batch_size > 1 else 0
        mend = f"give a batch_size of {smaller} or less" if smaller else "take a smaller model"
        raise AnchorlabError(
            f"{name} does not fit into {where} with {batch_size} examples in a batch ({first_line(error)}): {mend}, "
            "or end what else computes there"
        ) from error
