"""Tests of paired differences: the sign-flip test, McNemar's, and Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from anchorlab.seeding import derive
from anchorlab.statistics.arrays import Floats

#: Most runs of which all flips of signs are tried.
_EXACT = 14

#: Means of flipped differences that differ by less than this, relative to the mean as it is, are ties, as in scipy.
_ALIKE = 100 * np.finfo(np.float64).eps

#: Random flips that are drawn at once, a multiple of 8; their number does not change them.
_AT_ONCE = 256


def sign_flips(several: Sequence[Floats], *, seed: int) -> list[float]:
    """Two-sided p of the mean of paired differences ``[R]``, whose signs are arbitrary if both sides are alike.

    All flips up to 14 pairs; beyond, as many random ones as 14 would have. Several measurements of the same pairs at
    once, because making the flips is what takes time.

    It is scipy's ``permutation_test``, with the same draws, ties and order of sums, and so the same p: that takes a
    thousand times the memory, and makes all flips again each time.
    """
    if len(several) == 0:
        return []
    differences = np.stack(several)
    R = differences.shape[1]
    if R == 1:
        return [1.0] * len(differences)  # either sign is as far from 0
    observed = differences.mean(axis=1)[:, None]
    means = np.zeros((len(differences), 2**_EXACT - 1 if R > _EXACT else 2**R))
    for run, flips in enumerate(_flips(R, seed)):
        signs = 1.0 - 2.0 * np.unpackbits(flips, count=means.shape[1])
        means += differences[:, run, None] * signs
    means /= R
    near = np.abs(_ALIKE * observed)
    chance = int(R > _EXACT)  # the signs as they are, which random flips may not hold
    low, high = (
        (side.sum(axis=1) + chance) / (means.shape[1] + chance)
        for side in (means <= observed + near, means >= observed - near)
    )
    return [float(p) for p in np.clip(2 * np.minimum(low, high), 0, 1)]


@lru_cache(maxsize=2)
def _flips(runs: int, seed: int) -> tuple[NDArray[np.uint8], ...]:
    """Whether each flip of signs turns the sign of a run, packed into bits: an array for each run.

    They are all flips, or the ones that scipy's permutation test draws.
    """
    if runs <= _EXACT:
        flips = np.arange(2**runs)
        return tuple(np.packbits(flips >> run & 1) for run in range(runs))
    rng = np.random.default_rng(derive(seed, "sign flips"))
    orders = np.tile(np.arange(2), (_AT_ONCE, runs, 1))
    drawn = [np.packbits(rng.permuted(orders, axis=-1)[..., 0], axis=0) for _ in range(2**_EXACT // _AT_ONCE)]
    return tuple(np.concatenate(drawn).T.copy())


def mcnemar(one_way: int, other_way: int) -> float:
    """Two-sided p of McNemar's exact test (1947) that changes of both ways are equally likely.

    Args:
        one_way: pairs that changed one way, such as predictions that were right and became wrong.
        other_way: pairs that changed the other way.
    """
    changed = one_way + other_way
    return float(binomtest(one_way, changed).pvalue) if changed else 1.0


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """The p values, each adjusted for all that are not None (Holm 1979), in their order."""
    ordered = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, index) in enumerate(ordered):
        running = max(running, min(1.0, (len(ordered) - rank) * p))
        adjusted[index] = running
    return adjusted
