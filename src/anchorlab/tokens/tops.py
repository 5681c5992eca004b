"""The likeliest tokens of rows of logits, without sorting the vocabulary; of equals the lower token goes first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.statistics.arrays import Integers

#: Entries of which the maximum is taken first.
_GROUP = 64


@dataclass(frozen=True)
class Tops:
    """The likeliest tokens of each row.

    Attributes:
        tokens: int64 ``[n, k]``, the likeliest first.
        values: their logits, ``[n, k]``.
        least: the least logit of each row, ``[n]``.
    """

    tokens: Integers
    values: NDArray[Any]
    least: NDArray[Any]

    @classmethod
    def of(cls, logits: NDArray[Any], k: int) -> Tops:
        """The k likeliest tokens of logits ``[n, V]``, of which none is NaN; k is at most V.

        At least k entries reach the k-th largest of the maxima of groups, so that few entries are left to sort.
        """
        n, V = logits.shape
        in_group = max(1, min(_GROUP, V // k))
        groups = V // in_group
        maxima = logits[:, : in_group * groups].reshape(n, in_group, groups).max(axis=1)
        bounds = np.partition(maxima, groups - k, axis=1)[:, groups - k]
        rows, tokens = np.divmod(np.flatnonzero(logits >= bounds[:, None]), V)
        values = logits[rows, tokens]
        order = np.lexsort((tokens, -values, rows))
        places = np.searchsorted(rows, np.arange(n))[:, None] + np.arange(k)
        chosen = order[places]
        return cls(tokens[chosen], values[chosen], logits.min(axis=1))


def ranks(logits: NDArray[Any], tokens: Integers, tops: Tops) -> Integers:
    """The rank of one token a row, int64 ``[n]``; 1 is the likeliest.

    Args:
        logits: ``[n, V]``.
        tokens: int64 ``[n]``.
        tops: of the logits.
    """
    hit = tops.tokens == tokens[:, None]
    found = np.asarray(hit.argmax(axis=1) + 1, dtype=np.int64)
    for row in np.flatnonzero(~hit.any(axis=1)):
        value = logits[row, tokens[row]]
        found[row] = 1 + (logits[row] > value).sum() + (logits[row, : tokens[row]] == value).sum()
    return found


def overlap(first: Integers, second: Integers) -> NDArray[np.float64]:
    """The share of the tokens of ``first`` that ``second`` holds too, both ``[n, k]``: float64 ``[n]``."""
    return np.asarray((first[:, :, None] == second[:, None, :]).any(axis=2).mean(axis=1), dtype=np.float64)
