"""Intervals of what is computed from means over instances, by the bootstrap over instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.consistency.statistics import Estimate

Floats = NDArray[np.float64]

#: Entries of a piece of the replicates' counts, so that many instances need no more memory than few.
_PIECE = 2**22

#: Rises up to this are those of rounding.
_ROUNDING = 1e-12


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
        columns = np.asarray(values, dtype=np.float64)
        shares = np.full(self.count, 1 / self.count)
        at_once = max(1, _PIECE // self.count)
        pieces = [
            rng.multinomial(self.count, shares, size=min(at_once, self._resamples - start)) @ columns
            for start in range(0, self._resamples, at_once)
        ]
        return np.concatenate(pieces) / self.count

    def estimate(self, values: NDArray[Any], statistic: Callable[[Floats], Floats] | None = None) -> Estimate:
        """A function of the columns' means with its 95% interval, between percentiles of the replicates.

        Args:
            values: float ``[N]`` or ``[N, K]``, a row an instance.
            statistic: takes means ``[R, K]`` to values ``[R]``; None for the mean of a single column.
        """
        columns = np.asarray(values, dtype=np.float64).reshape(self.count, -1)
        compute = statistic or (lambda means: means[:, 0])
        value = float(compute(columns.mean(axis=0, keepdims=True))[0])
        replicates = compute(self.means(columns))
        lower, upper = np.percentile(replicates, [2.5, 97.5])
        return Estimate(value, float(lower), float(upper))


def ratio(means: Floats) -> Floats:
    """The first column's mean over the second's; NaN where that is 0."""
    quotient: Floats = np.divide(means[:, 0], means[:, 1], out=np.full(len(means), np.nan), where=means[:, 1] != 0)
    return quotient


def barrier(scales: Floats) -> Callable[[Floats], Floats]:
    """How far means along a straight path, a column a point, rise above the straight line between its ends.

    ``max_a L(a) - (1 - a) L(0) - a L(1)`` over points in [0, 1], which must hold both ends; never below 0.

    Args:
        scales: where each column was measured.
    """
    inside = (scales >= 0) & (scales <= 1)
    x = scales[inside]

    def height(means: Floats) -> Floats:
        along = means[:, inside]
        start, end = along[:, x == 0], along[:, x == 1]
        rise: Floats = (along - (1 - x) * start - x * end).max(axis=1)
        # What is left of equal means by rounding is no rise.
        return np.where(rise > _ROUNDING, rise, 0.0)

    return height


def bounded(name: str, estimate: Estimate) -> dict[str, float]:
    """An estimate as the three columns of a table."""
    assert estimate.value is not None
    assert estimate.lower is not None
    assert estimate.upper is not None
    return {name: estimate.value, f"{name}_lower": estimate.lower, f"{name}_upper": estimate.upper}
