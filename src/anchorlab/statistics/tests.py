"""Tests of paired differences: the sign-flip test, McNemar's, and Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest, permutation_test

from anchorlab.seeding import derive
from anchorlab.statistics.arrays import Floats

#: Most runs of which all flips of signs are tried.
_EXACT = 14


def sign_flip(differences: Floats, *, seed: int = 0) -> float:
    """Two-sided p of the mean of paired differences ``[R]``, whose signs are arbitrary if both sides are alike.

    All flips up to 14 runs; beyond, as many random ones as 14 would have.
    """
    return sign_flips([differences], seed=seed)[0]


def sign_flips(several: Sequence[Floats], *, seed: int) -> list[float]:
    """``sign_flip`` of several measurements of the same pairs at once, because making the flips is what takes time."""
    if len(several) == 0:
        return []
    differences = np.stack(several)
    R = differences.shape[1]
    if R == 1:
        return [1.0] * len(differences)  # either sign is as far from 0
    result = permutation_test(
        (differences,),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        axis=1,
        n_resamples=2**_EXACT - (R > _EXACT),  # and one more for the signs as they are
        rng=np.random.default_rng(derive(seed, "sign flips")),
    )
    return [float(p) for p in result.pvalue]


def smallest_p(runs: int) -> float:
    """The least p that the sign-flip test can give: with fewer than six runs it is above .05."""
    return min(1.0, 2.0 / 2.0**runs)


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
