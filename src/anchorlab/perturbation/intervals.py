"""Intervals of what is computed from means over instances, by the bootstrap over instances."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from anchorlab.statistics.arrays import Floats
from anchorlab.statistics.estimate import Estimate

#: Rises up to this come from rounding.
_ROUNDING = 1e-12


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
        # What is left of equal means by rounding does not count as a rise.
        return np.where(rise > _ROUNDING, rise, 0.0)

    return height


def bounded(name: str, estimate: Estimate) -> dict[str, float]:
    """An estimate as the three columns of a table."""
    assert estimate.value is not None
    assert estimate.lower is not None
    assert estimate.upper is not None
    return {name: estimate.value, f"{name}_lower": estimate.lower, f"{name}_upper": estimate.upper}
