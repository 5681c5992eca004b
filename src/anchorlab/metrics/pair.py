"""Two models' logits on the same instances, and every distance of them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anchorlab.metrics.numerics import Softmax, check_logits, top
from anchorlab.metrics.room import pieces
from anchorlab.metrics.sums import RowSums, row_sums
from anchorlab.statistics.arrays import Floats, Integers

#: Classes of each instance that the metrics of the likeliest ones look at.
TOP = 5


class Pair:
    """Two models' logits on the same instances, and every distance of them.

    All distances are computed together when the first is asked for, see ``anchorlab.metrics.sums``.

    Raises:
        ValueError: if the shapes differ, N is 0, C is below 2, or a logit is not finite.
    """

    def __init__(self, reference: ArrayLike, candidate: ArrayLike) -> None:
        self._reference, self._candidate = _checked(reference, candidate)
        self._known: RowSums | None = None
        self._top: tuple[Integers, Integers] | None = None

    @property
    def classes(self) -> int:
        """C."""
        return int(self._reference.shape[1])

    @cached_property
    def reference(self) -> Floats:
        """The reference's logits, float64 ``[N, C]``."""
        return self._reference.astype(np.float64, copy=False)

    @cached_property
    def candidate(self) -> Floats:
        """The candidate's logits, float64 ``[N, C]``."""
        return self._candidate.astype(np.float64, copy=False)

    @cached_property
    def p(self) -> Softmax:
        """Of the reference."""
        return Softmax(self._reference, self._sums.reference)

    @cached_property
    def q(self) -> Softmax:
        """Of the candidate."""
        return Softmax(self._candidate, self._sums.candidate)

    @cached_property
    def shift(self) -> Floats:
        """``d``, ``[N, C]``."""
        return np.asarray(self.candidate - self.reference, dtype=np.float64)

    @cached_property
    def centred(self) -> Floats:
        """``d`` less the mean of its row, ``[N, C]``."""
        return np.asarray(self.shift - self.shift.mean(axis=1, keepdims=True), dtype=np.float64)

    @property
    def _sums(self) -> RowSums:
        # No cached_property: before Python 3.12 it lets only one thread at a time compute that of any pair.
        if self._known is None:
            self._known = row_sums(self._reference, self._candidate)
        return self._known

    @property
    def likeliest(self) -> tuple[Integers, Integers]:
        """The classes of the five largest logits of each model, int64 ``[N, min(5, C)]``, the largest first.

        Of equal logits the lower class ranks higher.
        """
        if self._top is None:
            both = self._reference, self._candidate
            first, second = (np.empty((len(logits), min(TOP, self.classes)), dtype=np.int64) for logits in both)
            for rows in pieces(*self._reference.shape):
                first[rows], second[rows] = (top(logits[rows], first.shape[1]) for logits in both)
            self._top = first, second
        return self._top

    @property
    def kl(self) -> Floats:
        """``KL(p || p*)``, ``[N]``: see ``kl_divergence``."""
        return self._sums.kl

    @property
    def kl_reverse(self) -> Floats:
        """``KL(p* || p)``, ``[N]``."""
        return self._sums.kl_reverse

    @property
    def js(self) -> Floats:
        """Jensen-Shannon divergence, ``[N]``: see ``js_divergence``."""
        return self._sums.js

    def logit_distance(self) -> Floats:
        """See ``logit_distance``."""
        return self._sums.logit_distance

    def logit_distance_centred(self) -> Floats:
        """See ``logit_distance``."""
        return self._sums.logit_distance_centred

    def largest_shift(self) -> Floats:
        """``max_c |d_c - mean d|``, ``[N]``."""
        return self._sums.largest_shift

    def shift_range(self) -> Floats:
        """``max_c d_c - min_c d_c``, ``[N]``."""
        return self._sums.shift_range

    def margin(self) -> Floats:
        """The reference's largest logit less its second largest, ``[N]``; 0 where they are equal."""
        first, second = self.likeliest[0][:, :2].T
        return np.asarray(_of(self._reference, first) - _of(self._reference, second), dtype=np.float64)

    def probability_distance(self) -> Floats:
        """See ``probability_distance``."""
        return self._sums.probability_distance

    def total_variation(self) -> Floats:
        """See ``total_variation``."""
        return self._sums.total_variation

    def residual(self, labels: Integers) -> Floats:
        """``(p - e_y) . d``, ``[N]``, which is ``-u_y``; the loss changes by it and the divergence."""
        shift = _of(self._candidate, labels) - _of(self._reference, labels)
        likeliest = self._sums.reference.prediction
        rest = shift - (_of(self._candidate, likeliest) - _of(self._reference, likeliest))
        return np.asarray(self._sums.mean_shift - rest, dtype=np.float64)

    def top_k_agreement(self) -> Floats:
        """``|top k of s, and of s*| / k``, ``[N]``, for ``k = min(5, C - 1)``."""
        k = min(TOP, self.classes - 1)
        first, second = (classes[:, :k] for classes in self.likeliest)
        return np.asarray((first[:, :, None] == second[:, None, :]).sum(axis=(1, 2)) / k, dtype=np.float64)


def _of(logits: NDArray[Any], classes: Integers) -> Floats:
    """The logit of one class a row, ``[N]``."""
    return np.asarray(logits[np.arange(len(classes)), classes], dtype=np.float64)


def _checked(reference: ArrayLike, candidate: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both models' logits, checked, ``[N, C]``."""
    first, second = check_logits(reference, "the reference"), check_logits(candidate, "the candidate")
    if first.shape != second.shape:
        raise ValueError(
            f"the reference's logits have shape {first.shape} but the candidate's {second.shape}: "
            "run both models, with the same classes, on the same instances"
        )
    return first, second
