"""Ranks of a candidate among benign updates, and the p-values that follow from ranks alone.

If the candidate were an ordinary update, it and its n benign updates would be exchangeable: each of the n + 1 models
would hold each rank with the same chance. So ``(1 + #{null >= candidate}) / (1 + n)`` is a valid p-value however few
updates there are (Phipson and Smyth 2010, arXiv 1603.05766), and so is its mirror image. Ties count against the
candidate in both, which can only make the test more careful. The two-sided p is twice the smaller one, at most 1.

The joint test asks all accesses at once. Each of the n + 1 models gets one number, its most extreme rank over all
accesses, by a rule that treats all models alike. The candidate's rank among these numbers is therefore valid as well,
without a correction for the number of accesses and without more updates (Westfall and Young 1993).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from anchorlab.statistics.arrays import Floats, Integers

#: Room for the rounding of a level such as 0.05, in ranks.
_ROUNDING = 1e-9


def upper_p(candidate: float, null: Sequence[float] | Floats) -> float:
    """``(1 + #{null >= candidate}) / (1 + n)``: small if the candidate differs more than updates do."""
    return float((1 + (np.asarray(null) >= candidate).sum()) / (1 + len(null)))


def lower_p(candidate: float, null: Sequence[float] | Floats) -> float:
    """``(1 + #{null <= candidate}) / (1 + n)``: small if the candidate differs less than updates do."""
    return float((1 + (np.asarray(null) <= candidate).sum()) / (1 + len(null)))


def two_sided_p(candidate: float, null: Sequence[float] | Floats) -> float:
    """``min(1, 2 min(upper, lower))``."""
    return min(1.0, 2 * min(upper_p(candidate, null), lower_p(candidate, null)))


def extreme_ranks(values: Floats) -> Integers:
    """The smaller of both ranks of each model among all models, itself among them.

    Args:
        values: a row a model, a column an access, ``[M, A]``.

    Returns:
        int64 ``[M, A]``, 1 for the largest and for the smallest value of a column.
    """
    above = (values[None, :, :] >= values[:, None, :]).sum(axis=1)
    below = (values[None, :, :] <= values[:, None, :]).sum(axis=1)
    return np.asarray(np.minimum(above, below), dtype=np.int64)


def joint_p(values: Floats) -> float:
    """The p-value of the first model among all, over all accesses at once.

    A model is as extreme as its most extreme rank in any access. Of two models with the same one, the model is more
    extreme that lies farther from the median of all models there, in mean absolute deviations of the logarithms, which
    are the scale of distances. A value of 0 counts as half of the smallest other one, an infinite one as twice the
    largest other one.

    Args:
        values: statistics that are not negative, ``[n + 1, A]``, a column an access, the candidate in the first row.
    """
    ranks = extreme_ranks(values)
    largest = np.where(np.isfinite(values), values, 0).max(axis=0)
    values = np.where(np.isfinite(values), values, np.where(largest > 0, 2 * largest, 1.0))
    smallest = np.where(values > 0, values, np.inf).min(axis=0)
    logarithms = np.log(np.where(values > 0, values, np.where(np.isfinite(smallest), smallest / 2, 1.0)))
    distance = np.abs(logarithms - np.median(logarithms, axis=0))
    # Sorted, because a sum depends on its order in the last bit, and no model's place may depend on the order.
    spread = np.sort(distance, axis=0).mean(axis=0)
    scaled = np.divide(distance, spread, out=np.zeros_like(distance), where=spread > 0)
    least = ranks.min(axis=1)
    farthest = np.where(ranks == least[:, None], scaled, -1.0).max(axis=1)
    as_extreme = (least < least[0]) | ((least == least[0]) & (farthest >= farthest[0]))
    return float(as_extreme.sum() / len(values))


def updates_needed(level: float, *, sides: int = 2) -> int:
    """The least number of benign updates with which a test at a level can find anything: ``ceil(sides / level) - 1``.

    Args:
        level: above 0 and below 1.
        sides: 2 for a two-sided test, 1 for the joint test, whose statistic has two sides already.
    """
    return max(1, math.ceil(sides / level - _ROUNDING) - 1)


def least_p(updates: int, *, sides: int = 2) -> float:
    """The least p-value that a number of updates allows."""
    return min(1.0, sides / (updates + 1))


def rejected_ranks(updates: int, level: float) -> int:
    """How many of the extreme ranks at each end a two-sided test at a level rejects; 0 if it can find nothing."""
    return int(level * (updates + 1) / 2 + _ROUNDING)
