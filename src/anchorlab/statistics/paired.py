"""Paired differences over independent documents: their mean with its interval, and its p value."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import norm, t

from anchorlab.statistics.arrays import Floats
from anchorlab.statistics.estimate import LEVEL

#: Differences that are equal differ by this share of the largest one at most, because scores were rounded.
_ROUNDING = 1e-12


def mean_interval(differences: Floats) -> tuple[float, float] | None:
    """Student's t interval of the mean of independent differences ``[D]``; None for fewer than two."""
    if len(differences) < 2:
        return None
    mean, error = _mean_and_error(differences)
    reach = float(t.ppf((1 + LEVEL) / 2, len(differences) - 1)) * error
    return mean - reach, mean + reach


def mean_test(differences: Floats) -> float | None:
    """Two-sided p of Student's paired t test that the mean of differences ``[D]`` is 0; None where it is undefined.

    It is 1 where all are 0, and undefined for fewer than two and where all are the same other number.
    """
    if len(differences) < 2:
        return None
    mean, error = _mean_and_error(differences)
    if error == 0:
        return 1.0 if mean == 0 else None
    return float(2 * t.sf(abs(mean) / error, len(differences) - 1))


def difference_of_paired_rates(one_way: int, other_way: int, count: int) -> tuple[float, float]:
    """The 95% interval of the difference of two rates of the same pairs (Bonett and Price 2012, adjusted Wald).

    The rate rises by ``(other_way - one_way) / count``. Unlike Student's, the interval has a width where nothing
    flipped, because a flip was possible.

    Args:
        one_way: pairs that were 1 and became 0.
        other_way: pairs that were 0 and became 1.
        count: all pairs, at least 1.
    """
    fell, rose = (one_way + 1) / (count + 2), (other_way + 1) / (count + 2)
    middle = rose - fell
    reach = float(norm.ppf((1 + LEVEL) / 2)) * math.sqrt((fell + rose - middle**2) / (count + 2))
    return max(-1.0, middle - reach), min(1.0, middle + reach)


def _mean_and_error(differences: Floats) -> tuple[float, float]:
    """The mean, and its standard error: exactly 0 where the differences are equal but for rounding."""
    if np.ptp(differences) <= _ROUNDING * np.abs(differences).max():
        return float(differences.mean()), 0.0
    return float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(len(differences)))
