"""Softmax and the series of the divergences: in float64, without cancellation; and checks of logits and labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anchorlab.metrics.room import copied, pieces
from anchorlab.statistics.arrays import Floats, Integers, what_is_lost

#: Below this size of u, ``e^u - 1 - u`` is taken from its series.
EXCESS_BELOW = 1e-2

#: Largest logit, whose square and its sums over classes stay finite.
_LARGEST = 1e150


@dataclass(frozen=True)
class Odds:
    """One model's prediction in each instance, and the odds of the other classes: their probabilities over its.

    Attributes:
        prediction: the class of the largest logit, the lowest one of equals, int64 ``[N]``.
        rest: the sum of the odds of all other classes, float64 ``[N]``.
        squares: the sum of their squares, float64 ``[N]``.
    """

    prediction: Integers
    rest: Floats
    squares: Floats

    @classmethod
    def empty(cls, N: int) -> Odds:
        """Of N instances, not filled in."""
        return cls(np.empty(N, dtype=np.int64), np.empty(N), np.empty(N))

    def put(self, rows: slice, part: Odds) -> None:
        """Fills some rows in."""
        self.prediction[rows], self.rest[rows], self.squares[rows] = part.prediction, part.rest, part.squares


class Softmax:
    """Probabilities of logits ``[N, C]`` and their logarithms, exact for nearly certain classes too.

    Args:
        logits: finite, float32 or float64.
        odds: of these logits, where they are known already.
    """

    def __init__(self, logits: NDArray[Any], odds: Odds | None = None) -> None:
        self._logits, self._odds = logits, odds

    @cached_property
    def prediction(self) -> Integers:
        """The class of the largest logit, the lowest one of equals, int64 ``[N]``."""
        return np.asarray(self._logits.argmax(axis=1), dtype=np.int64) if self._odds is None else self._odds.prediction

    @cached_property
    def _rest(self) -> Floats:
        """The sum of the odds of all classes that are not predicted, ``[N]``."""
        if self._odds is not None:
            return self._odds.rest
        odds = np.exp(self._relative)
        odds[np.arange(len(odds)), self.prediction] = 0
        return np.asarray(odds.sum(axis=1), dtype=np.float64)

    @cached_property
    def _log_total(self) -> Floats:
        return np.asarray(np.log1p(self._rest), dtype=np.float64)

    @cached_property
    def _relative(self) -> Floats:
        # Relative to the row's maximum, so that the log-probability of a nearly certain class is not rounded to
        # the precision of the logits.
        logits = self._logits.astype(np.float64, copy=False)
        return np.asarray(logits - self._of(self.prediction)[:, None], dtype=np.float64)

    @cached_property
    def probability(self) -> Floats:
        """Probabilities, float64 ``[N, C]``."""
        return np.asarray(np.exp(self._relative) / (1 + self._rest)[:, None], dtype=np.float64)

    def log(self) -> Floats:
        """Log-probabilities, ``[N, C]``."""
        return np.asarray(self._relative - self._log_total[:, None], dtype=np.float64)

    def log_of(self, labels: Integers) -> Floats:
        """Log-probabilities of one class a row: int64 ``[N]`` to float64 ``[N]``."""
        return np.asarray(self._of(labels) - self._of(self.prediction) - self._log_total, dtype=np.float64)

    def confidence(self) -> Floats:
        """The largest probability of each row, ``[N]``."""
        return np.asarray(np.exp(-self._log_total), dtype=np.float64)

    def brier(self, labels: Integers) -> Floats:
        """``sum_c (p_c - [c = y])^2``, ``[N]``."""
        odds = np.exp(self._of(labels) - self._of(self.prediction))
        # The squared odds of all classes but the true one.
        others = np.where(labels == self.prediction, self._squares, 1 + self._squares - odds**2)
        error = np.expm1(self.log_of(labels))  # p_y - 1, which would cancel
        return np.asarray(others / (1 + self._rest) ** 2 + error**2, dtype=np.float64)

    @cached_property
    def _squares(self) -> Floats:
        """The sum of the squared odds of all classes that are not predicted, ``[N]``."""
        if self._odds is not None:
            return self._odds.squares
        odds = np.exp(self._relative)
        odds[np.arange(len(odds)), self.prediction] = 0
        return np.asarray(np.vecdot(odds, odds), dtype=np.float64)

    def _of(self, classes: Integers) -> Floats:
        """The logit of one class a row, ``[N]``."""
        return np.asarray(self._logits[np.arange(len(classes)), classes], dtype=np.float64)


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


def expm1_excess(u: Floats) -> Floats:
    """``e^u - 1 - u``, by its Taylor series up to ``u^7 / 7!`` where the difference would cancel."""
    return np.where(np.abs(u) < EXCESS_BELOW, excess_series(u), np.expm1(u) - u)


def excess_series(u: Floats) -> Floats:
    """The Taylor series of ``e^u - 1 - u`` up to ``u^7 / 7!``."""
    series = u / math.factorial(7)
    for power in range(6, 1, -1):
        series += 1 / math.factorial(power)
        series *= u
    series *= u
    return series


def js_term(r: Floats) -> Floats:
    """``(r / 2) tanh(r / 2) - log cosh(r / 2)``, from 0 to ln 2, by its series in ``tanh^2`` where it would cancel."""
    size = np.abs(r)
    decay = np.exp(-size)
    t = (np.expm1(-np.minimum(size, 1)) / (1 + decay)) ** 2  # tanh^2(r / 2) for |r| <= 1
    series = t / 2 * (1 + t * (1 / 6 + t * (1 / 15 + t * (1 / 28 + t / 45))))
    exact = math.log(2) - np.log1p(decay) - size * decay / (1 + decay)
    return np.asarray(np.where(size < 0.1, series, exact), dtype=np.float64)


def top(logits: NDArray[Any], k: int) -> Integers:
    """The k classes of largest logits, the lower one first of equals: ``[N, C]`` to int64 ``[N, k]``."""
    left, rows = copied(logits), np.arange(len(logits))
    classes = np.empty((len(logits), k), dtype=np.int64)
    for place in range(k):
        classes[:, place] = left.argmax(axis=1)
        left[rows, classes[:, place]] = -np.inf
    return classes


def check_logits(values: ArrayLike, model: str) -> NDArray[Any]:
    """One model's logits, checked, ``[N, C]``: float32 as they are, all else as float64."""
    logits = np.asarray(values)
    lost = what_is_lost(values) or what_is_lost(logits)
    if lost:
        raise ValueError(f"the logits of {model} hold {lost}: give real numbers, all of them known")
    if logits.dtype != np.float32:
        logits = logits.astype(np.float64, copy=False)
    if logits.ndim != 2 or logits.shape[0] < 1 or logits.shape[1] < 2:
        raise ValueError(
            f"the logits of {model} have shape {logits.shape}: "
            "give [N, C] with at least one instance and at least two classes"
        )
    if not all(np.isfinite(logits[rows]).all() for rows in pieces(*logits.shape)):
        broken = ~np.isfinite(logits).all(axis=1)
        raise ValueError(
            f"the logits of {model} are not finite in {broken.sum()} of {len(logits)} rows: "
            "metrics need finite logits, so check that its training or its half-precision did not overflow"
        )
    if logits.dtype == np.float64:  # no float32 is too large
        largest = max(float(np.abs(logits[rows]).max()) for rows in pieces(*logits.shape))
        if largest > _LARGEST:
            raise ValueError(
                f"the logits of {model} reach {largest:.3g}, but squares of more than {_LARGEST:g} overflow: check "
                "that these are logits"
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
