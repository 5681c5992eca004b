"""95% intervals of a rate, of a percentile, and from bootstrap replicates."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom, binomtest

from anchorlab.statistics.arrays import Floats
from anchorlab.statistics.estimate import LEVEL, Estimate

#: The shares of replicates that lie below each end of an interval.
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)

#: The same as decimal numbers. The first one differs from ``TAILS`` by rounding alone, but published tables hold all
#: digits: audits and analyses were computed with these.
DECIMAL_TAILS = (0.025, 0.975)


def wilson(count: int, total: int) -> tuple[float, float]:
    """Wilson's interval of the rate ``count / total`` (Wilson 1927), from scipy."""
    interval = binomtest(count, total).proportion_ci(confidence_level=LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def rate(count: int, total: int) -> Estimate:
    """The rate ``count / total`` with Wilson's interval."""
    return Estimate(count / total, *wilson(count, total), units=total)


def between_replicates(replicates: ArrayLike, tails: tuple[float, float] = TAILS) -> tuple[float, float]:
    """The percentile interval of a bootstrap: the quantiles of its replicates ``[B]`` at both tails."""
    lower, upper = np.quantile(np.asarray(replicates, dtype=np.float64), tails)
    return float(lower), float(upper)


def between_order_statistics(values: Floats, percent: int) -> tuple[float, float] | None:
    """The interval of a percentile of what ``values`` were drawn from, between two of them.

    The number of values below the percentile is binomial, whatever the distribution. None if there are too few
    values for both ends.
    """
    # It lies from the a-th to the b-th smallest value if from a to b - 1 values are below it; counted from 0 here.
    tail = (1 - LEVEL) / 2
    lower, upper = (int(binom.ppf(end, len(values), percent / 100)) for end in (tail, 1 - tail))
    lower -= 1
    if lower < 0 or upper >= len(values):
        return None
    ends = np.partition(values, [lower, upper])
    return float(ends[lower]), float(ends[upper])
