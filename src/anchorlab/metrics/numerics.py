"""Softmax and the series of the divergences: in float64, without cancellation; and checks of logits and labels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from anchorlab.statistics.arrays import Floats, Integers, Truths


class Softmax:
    """Probabilities of logits ``[N, C]`` and their logarithms, exact for nearly certain classes too.

    Attributes:
        prediction: the class of the largest logit, the lowest one of equals, int64 ``[N]``.
        probability: float64 ``[N, C]``.
    """

    def __init__(self, logits: Floats) -> None:
        rows = np.arange(len(logits))
        self.prediction: Integers = np.asarray(logits.argmax(axis=1), dtype=np.int64)
        # Relative to the row's maximum, so that the log-probability of a nearly certain class is not rounded to
        # the precision of the logits.
        self._relative = logits - logits[rows, self.prediction][:, None]
        odds = np.exp(self._relative)
        odds[rows, self.prediction] = 0
        rest = odds.sum(axis=1)
        odds[rows, self.prediction] = 1
        self._log_total = np.log1p(rest)
        self.probability: Floats = odds / (1 + rest)[:, None]

    def log(self) -> Floats:
        """Log-probabilities, ``[N, C]``."""
        return np.asarray(self._relative - self._log_total[:, None], dtype=np.float64)

    def log_of(self, labels: Integers) -> Floats:
        """Log-probabilities of one class a row: int64 ``[N]`` to float64 ``[N]``."""
        return np.asarray(self._relative[np.arange(len(labels)), labels] - self._log_total, dtype=np.float64)

    def confidence(self) -> Floats:
        """The largest probability of each row, ``[N]``."""
        return np.asarray(np.exp(-self._log_total), dtype=np.float64)

    def brier(self, labels: Integers) -> Floats:
        """``sum_c (p_c - [c = y])^2``, ``[N]``."""
        each = np.arange(len(labels)), labels
        error = self.probability.copy()
        error[each] = np.expm1(self.log_of(labels))  # p_y - 1, which would cancel
        return np.asarray((error**2).sum(axis=1), dtype=np.float64)


def log_softmax(logits: ArrayLike) -> Floats:
    """Log-probabilities ``s - logsumexp(s)`` of logits ``[N, C]``: float64 ``[N, C]``, nats, never above 0.

    Raises:
        ValueError: if N is 0, C is below 2, or a logit is not finite.
    """
    return Softmax(check_logits(logits, "the model")).log()


def predictions(logits: ArrayLike) -> Integers:
    """The class of the largest logit, the lowest one of equals: logits ``[N, C]`` to int64 ``[N]``.

    Raises:
        ValueError: if N is 0, C is below 2, or a logit is not finite.
    """
    return np.asarray(check_logits(logits, "the model").argmax(axis=1), dtype=np.int64)


def steep_kl(log_p: Floats, p: Floats, u: Floats) -> Floats:
    """``log sum_c p_c e^u_c`` for a p-centred ``u`` with large elements, ``[N]``."""
    with np.errstate(over="ignore"):
        # For u above 1 nothing cancels, and exp(log p + u) is finite where e^u alone is not or p is 0.
        excess = np.where(u > 1, np.exp(log_p + u) - p * (1 + u), p * expm1_excess(np.minimum(u, 1))).sum(axis=1)
    overflowed = np.isinf(excess)
    result = np.log1p(excess)
    result[overflowed] = logsumexp(log_p[overflowed] + u[overflowed], axis=1)
    return np.asarray(result, dtype=np.float64)


def expm1_excess(u: Floats) -> Floats:
    """``e^u - 1 - u``, by its Taylor series up to ``u^7 / 7!`` where the difference would cancel."""
    series = u**2 / 2 * (1 + u / 3 * (1 + u / 4 * (1 + u / 5 * (1 + u / 6 * (1 + u / 7)))))
    return np.where(np.abs(u) < 1e-2, series, np.expm1(u) - u)


def js_term(r: Floats) -> Floats:
    """``(r / 2) tanh(r / 2) - log cosh(r / 2)``, from 0 to ln 2, by its series in ``tanh^2`` where it would cancel."""
    size = np.abs(r)
    decay = np.exp(-size)
    t = (np.expm1(-np.minimum(size, 1)) / (1 + decay)) ** 2  # tanh^2(r / 2) for |r| <= 1
    series = t / 2 * (1 + t * (1 / 6 + t * (1 / 15 + t * (1 / 28 + t / 45))))
    exact = math.log(2) - np.log1p(decay) - size * decay / (1 + decay)
    return np.asarray(np.where(size < 0.1, series, exact), dtype=np.float64)


def top(logits: Floats, k: int) -> Truths:
    """Which classes are among the k of largest logits, the lower one first of equals: bool ``[N, C]``."""
    threshold = -np.partition(-logits, k - 1, axis=1)[:, k - 1 : k]
    above, level = logits > threshold, logits == threshold
    wanted = k - above.sum(axis=1, keepdims=True)
    if (level.sum(axis=1, keepdims=True) > wanted).any():
        level &= level.cumsum(axis=1) <= wanted
    return np.asarray(above | level, dtype=np.bool_)


def check_logits(values: ArrayLike, model: str) -> Floats:
    """One model's logits, checked, as float64 ``[N, C]``."""
    logits = np.asarray(values, dtype=np.float64)
    if logits.ndim != 2 or logits.shape[0] < 1 or logits.shape[1] < 2:
        raise ValueError(
            f"the logits of {model} have shape {logits.shape}: "
            "give [N, C] with at least one instance and at least two classes"
        )
    if not np.isfinite(logits).all():
        broken = ~np.isfinite(logits).all(axis=1)
        raise ValueError(
            f"the logits of {model} are not finite in {broken.sum()} of {len(logits)} rows: "
            "metrics need finite logits, so check that its training or its half-precision did not overflow"
        )
    return logits


def check_labels(labels: ArrayLike, shape: tuple[int, ...]) -> Integers:
    """Labels, checked against logits of that shape, as int64 ``[N]``."""
    N, C = shape
    truth = np.asarray(labels)
    if truth.shape != (N,) or not np.issubdtype(truth.dtype, np.integer):
        raise ValueError(
            f"labels have shape {truth.shape} and type {truth.dtype}: "
            f"give one integer for each of the {N} rows of logits"
        )
    outside = truth[(truth < 0) | (truth >= C)]
    if len(outside):
        raise ValueError(
            f"{len(outside)} of {N} labels are not among the logits' {C} classes, the first is {outside[0]}: "
            f"give labels from 0 to {C - 1}"
        )
    return truth.astype(np.int64)
