"""What happens when a batch is too small for BatchNorm: one sentence, with the mend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from anchorlab.errors import AnchorlabError


@contextmanager
def batch_with_spread(size: int) -> Iterator[None]:
    """Inside, a model in training mode answers a batch.

    Args:
        size: number of its examples.

    Raises:
        AnchorlabError: if it gives a BatchNorm layer one value a channel.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise AnchorlabError(
            f"a batch of {size} gives a BatchNorm layer one value a channel, of which it cannot take the spread: give "
            "a larger batch_size"
        ) from error
