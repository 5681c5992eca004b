"""Draws with replacement, and what means over instances are under them: the primitives of every bootstrap here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.statistics.arrays import Floats, Integers
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.intervals import DECIMAL_TAILS, between_replicates

#: Entries of a piece of the replicates' counts, so that many instances need no more memory than few.
_PIECE = 2**22


def drawn_counts(rng: np.random.Generator, resamples: int, size: int) -> Integers:
    """How often each of ``size`` things is drawn in ``size`` draws with replacement, ``[resamples, size]``."""
    picks = rng.integers(size, size=(resamples, size))
    picks += size * np.arange(resamples)[:, None]
    return np.bincount(picks.ravel(), minlength=resamples * size).reshape(resamples, size)


def resampled_means(rng: np.random.Generator, columns: NDArray[Any], draws: int, resamples: int) -> Floats:
    """Means of columns ``[N, K]`` over random draws of rows with replacement, the same rows for all columns.

    Args:
        rng: makes the draws.
        columns: a row an instance.
        draws: number of rows in each replicate.
        resamples: number of replicates.

    Returns:
        float64 ``[resamples, K]``.
    """
    shares = np.full(len(columns), 1 / len(columns))
    at_once = max(1, _PIECE // len(columns))
    pieces = [
        rng.multinomial(draws, shares, size=min(at_once, resamples - start)) @ columns
        for start in range(0, resamples, at_once)
    ]
    return np.asarray(np.concatenate(pieces) / draws, dtype=np.float64)


class Resamples:
    """Bootstrap replicates of some instances, the same for everything that is measured on them.

    Args:
        count: number of instances.
        seed: of the draws.
        resamples: number of replicates.
    """

    def __init__(self, count: int, *, seed: int, resamples: int = 1000) -> None:
        self.count = count
        self._seed = seed
        self._resamples = resamples

    def means(self, values: NDArray[Any]) -> Floats:
        """Means of columns ``[N, K]`` in each replicate, ``[R, K]``."""
        rng = np.random.default_rng(self._seed)
        return resampled_means(rng, np.asarray(values, dtype=np.float64), self.count, self._resamples)

    def estimate(self, values: NDArray[Any], statistic: Callable[[Floats], Floats] | None = None) -> Estimate:
        """A function of the columns' means with its interval, between percentiles of the replicates.

        Args:
            values: float ``[N]`` or ``[N, K]``, a row an instance.
            statistic: takes means ``[R, K]`` to values ``[R]``; None for the mean of a single column.
        """
        columns = np.asarray(values, dtype=np.float64).reshape(self.count, -1)
        compute = statistic or (lambda means: means[:, 0])
        value = float(compute(columns.mean(axis=0, keepdims=True))[0])
        return Estimate(value, *between_replicates(compute(self.means(columns)), DECIMAL_TAILS), units=self.count)
