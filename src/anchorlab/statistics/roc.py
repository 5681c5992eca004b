"""The ROC of suspicion scores: the area under it, TPR at an FPR, FPR at a TPR, thresholds.

Scores are the higher, the more suspicious; an input is flagged if its score lies above a threshold, not on it.
All here depends on the order of scores alone, and ties are counted as such. Intervals are of 95%.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.metrics import roc_curve

from anchorlab.seeding import derive
from anchorlab.statistics.arrays import Floats
from anchorlab.statistics.estimate import LEVEL, Estimate
from anchorlab.statistics.intervals import between_replicates, rate, wilson

#: A share of the inputs is a whole number of them, in spite of rounding.
_ROUNDING = 1e-9


def auroc(clean: ArrayLike, triggered: ArrayLike) -> Estimate:
    """The chance that a triggered input scores higher than a clean one, ties counted half.

    Its interval has DeLong's variance (DeLong, DeLong and Clarke-Pearson 1988, Biometrics) on the scale of logits, so
    that it stays within 0 and 1. Where that variance is 0 or undefined, as when all triggered inputs score higher
    than all clean ones, the interval is Wilson's for as many inputs as the smaller side has: no AUROC varies more
    (van Dantzig 1951: at most ``A (1 - A) / min(N, M)``).

    Args:
        clean: scores of clean inputs, ``[N]``.
        triggered: scores of triggered ones, ``[M]``.

    Raises:
        ValueError: if a side is empty or has a score that is no number.
    """
    clean, triggered = _checked(clean, "clean"), _checked(triggered, "triggered")
    above, below = placements(triggered, clean), 1 - placements(clean, triggered)
    value, smaller = float(above.mean()), min(len(clean), len(triggered))
    variance = above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below) if smaller > 1 else 0.0
    if variance == 0 or value in (0, 1):
        lower, upper = wilson(round(value * smaller), smaller)
        return Estimate(value, min(lower, value), max(upper, value))
    half = norm.ppf((1 + LEVEL) / 2) * math.sqrt(variance) / (value * (1 - value))
    return Estimate(value, float(expit(logit(value) - half)), float(expit(logit(value) + half)))


def tpr_at(clean: ArrayLike, triggered: ArrayLike, fpr: float, *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """The share of triggered inputs above ``threshold(clean, fpr)``.

    Its interval is of the bootstrap over both sides, so that it holds how uncertain the threshold is; percentiles of
    the replicates. A share of 0 or 1 has at least Wilson's interval. With fewer than ``1 / fpr`` clean inputs the
    threshold is the highest clean score.

    Args:
        clean: scores of clean inputs, ``[N]``.
        triggered: scores of triggered ones, ``[M]``.
        fpr: greatest share of clean inputs that may be flagged, from 0 to below 1.
        resamples: number of bootstrap replicates.
        seed: of the bootstrap.

    Raises:
        ValueError: if a side is empty or has a score that is no number, or the rate is none.
    """
    clean, triggered = np.sort(_checked(clean, "clean")), np.sort(_checked(triggered, "triggered"))
    N, M = len(clean), len(triggered)
    value = float(_share_above(triggered, threshold(clean, fpr)))
    draw = np.random.default_rng(derive(seed, "tpr"))
    # The (k+1)-th highest of N draws from N scores, and how many of M draws lie above it: the bootstrap itself.
    at = np.floor(N * draw.beta(_flagged(N, fpr) + 1, N - _flagged(N, fpr), size=resamples)).astype(np.int64)
    shares = draw.binomial(M, _share_above(triggered, clean[::-1][at.clip(max=N - 1)])) / M
    lower, upper = between_replicates(shares)
    if value in (0, 1):
        ends = wilson(round(value * M), M)
        lower, upper = min(lower, ends[0]), max(upper, ends[1])
    return Estimate(value, min(lower, value), max(upper, value))


def fpr_at(clean: ArrayLike, triggered: ArrayLike, tpr: float) -> Estimate:
    """The share of clean scores at or above the highest threshold that keeps a TPR of at least ``tpr``.

    Its interval is Wilson's, for the threshold as it is.

    Args:
        clean: scores of clean inputs or models, ``[N]``.
        triggered: scores of triggered ones, ``[M]``.
        tpr: least share of the triggered at or above the threshold, above 0 to 1.

    Raises:
        ValueError: if a side is empty or has a score that is no number, or the rate is none.
    """
    if not 0 < tpr <= 1:
        raise ValueError(f"a TPR of {tpr} is not possible: give one above 0, 1 at most")
    clean, triggered = _checked(clean, "clean"), np.sort(_checked(triggered, "triggered"))
    needed = max(math.ceil(tpr * len(triggered) - _ROUNDING), 1)
    count = int((clean >= triggered[len(triggered) - needed]).sum())
    return rate(count, len(clean))


def share_above(scores: ArrayLike, above: float) -> Estimate:
    """The share of scores above a threshold that was chosen without them, with Wilson's interval.

    Args:
        scores: ``[N]``.
        above: the threshold.

    Raises:
        ValueError: if there is no score, or one that is no number.
    """
    values = _checked(scores, "flagged")
    count = int((values > above).sum())
    return rate(count, len(values))


def threshold(clean_scores: ArrayLike, fpr: float) -> float:
    """The lowest clean score above which at most a share ``fpr`` of the clean scores lies.

    From clean data alone. Of N clean scores, a fresh clean input lies above it with a chance of at most
    ``(floor(fpr N) + 1) / (N + 1)``.

    Args:
        clean_scores: scores of clean inputs, ``[N]``.
        fpr: from 0 to below 1.

    Raises:
        ValueError: if there is no score, or one that is no number, or the rate is none.
    """
    if not 0 <= fpr < 1:
        raise ValueError(f"an FPR of {fpr} is not possible: give one from 0 to below 1")
    scores = np.sort(_checked(clean_scores, "clean"))
    return float(scores[len(scores) - 1 - _flagged(len(scores), fpr)])


def _flagged(count: int, fpr: float) -> int:
    """The largest number of clean inputs that may be flagged."""
    return min(math.floor(fpr * count + _ROUNDING), count - 1)


def placements(of: Floats, among: Floats) -> Floats:
    """For each score the share of others below it, ties counted half."""
    ordered = np.sort(among)
    both = np.searchsorted(ordered, of, side="left") + np.searchsorted(ordered, of, side="right")
    return np.asarray(both / (2 * len(ordered)), dtype=np.float64)


def _share_above(ordered: Floats, bounds: float | Floats) -> Floats:
    """The share of ascending scores above each bound."""
    return np.asarray(1 - np.searchsorted(ordered, bounds, side="right") / len(ordered), dtype=np.float64)


def _checked(scores: ArrayLike, side: str) -> Floats:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or np.isnan(values).any():
        raise ValueError(f"the {side} scores need to be numbers, one for each input and one at least")
    return values


def curve(clean: ArrayLike, triggered: ArrayLike) -> tuple[Floats, Floats]:
    """The ROC curve: FPR and TPR at every threshold, both rising from 0 to 1.

    Args:
        clean: scores of clean inputs or models, ``[N]``.
        triggered: scores of triggered ones, ``[M]``.

    Raises:
        ValueError: if a side is empty or has a score that is no number.
    """
    negatives, positives = _checked(clean, "clean"), _checked(triggered, "triggered")
    truth = np.r_[np.zeros(len(negatives)), np.ones(len(positives))]
    false, true, _ = roc_curve(truth, np.nan_to_num(np.r_[negatives, positives]), drop_intermediate=False)
    return np.asarray(false, dtype=np.float64), np.asarray(true, dtype=np.float64)
