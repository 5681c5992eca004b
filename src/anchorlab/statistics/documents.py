"""Intervals over documents: tokens of one document are alike, so that the document is the unit of independence.

A mean per token is a ratio of two sums over documents, the column's and the tokens'. Its variance is linearised
(Cochran 1977, chapter 6): with ``e_d = y_d - r n_d``, it is ``D / (D - 1) sum e_d² / (sum n_d)²``, and the interval is
Student's t with D - 1 degrees of freedom. It speaks of further documents like these.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t

from anchorlab.statistics.estimate import LEVEL, Estimate

#: Fewer documents than this deserve a warning, because the linearised interval is too narrow with few.
FEW_DOCUMENTS = 20

#: Fewer documents beyond a quantile than this give it no interval.
BEYOND = 10


def ratio_of_sums(sums: ArrayLike, tokens: ArrayLike) -> Estimate:
    """A mean per token with its interval over documents.

    Args:
        sums: of the column over each document's tokens, ``[D]``.
        tokens: of each document, ``[D]``; documents without any are left out.

    Returns:
        Without a value where there is no token, and without an interval for one document. ``units`` is D.
    """
    y, n = np.asarray(sums, dtype=np.float64), np.asarray(tokens, dtype=np.float64)
    y, n = y[n > 0], n[n > 0]
    D, total = len(n), n.sum()
    if D == 0:
        return Estimate(None, units=0)
    ratio = float(y.sum() / total)
    if D == 1:
        return Estimate(ratio, units=1)
    half = _upper_t(D - 1) * linearised_error(y - ratio * n, total)
    return Estimate(ratio, ratio - half, ratio + half, units=D)


@lru_cache(maxsize=1024)
def _upper_t(freedom: int) -> float:
    """The quantile of Student's t that an interval reaches to on each side; scipy's own takes long."""
    return float(t.ppf((1 + LEVEL) / 2, freedom))


def linearised_error(residuals: ArrayLike, total: float) -> float:
    """The standard error of a ratio of sums from the residuals ``y_d - r n_d`` ``[D]``, D at least 2."""
    e = np.asarray(residuals, dtype=np.float64)
    D = len(e)
    return math.sqrt(D / (D - 1) * float(np.vecdot(e, e))) / float(total)


def shares_at_the_ends(below: ArrayLike, tokens: ArrayLike, share: float) -> tuple[float, float] | None:
    """The shares of tokens between whose quantiles a quantile's interval lies (Woodruff 1952).

    The share of tokens that are not above the quantile is a mean per token. Half of the width of its interval to either
    side of the quantile's own share are the shares whose quantiles are the ends of the quantile's. The two shares are
    far apart where many tokens tie with the quantile.

    Args:
        below: tokens of each document that are not above the quantile, ``[D]``.
        tokens: of each document, ``[D]``.
        share: of the quantile, above 0 and below 1.

    Returns:
        None where fewer than ``BEYOND`` documents have a token above it, or below it, or an end would lie outside of
        all tokens.
    """
    k, n = np.asarray(below), np.asarray(tokens)
    if min((k < n).sum(), (k > 0).sum()) < BEYOND:
        return None
    found = ratio_of_sums(k, n)
    if found.value is None or found.upper is None:
        return None
    half = found.upper - found.value
    return None if share - half <= 0 or share + half >= 1 else (share - half, share + half)
