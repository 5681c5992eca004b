"""Two models' logits on the same instances, and every distance of them."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from anchorlab.metrics.numerics import Softmax, check_logits, expm1_excess, js_term, steep_kl, top
from anchorlab.statistics.arrays import Floats, Integers


class Pair:
    """Two models' logits on the same instances, and every distance of them; what distances share is computed once.

    Every divergence of the probabilities is a sum over classes of terms that are never negative, in the log-ratio
    ``r_c = log p*_c - log p_c``, so that none cancels for small shifts (see ``kl``).

    Raises:
        ValueError: if the shapes differ, N is 0, C is below 2, or a logit is not finite.
    """

    def __init__(self, reference: ArrayLike, candidate: ArrayLike) -> None:
        self.reference, self.candidate = _checked(reference, candidate)

    @cached_property
    def p(self) -> Softmax:
        """Of the reference."""
        return Softmax(self.reference)

    @cached_property
    def q(self) -> Softmax:
        """Of the candidate."""
        return Softmax(self.candidate)

    @cached_property
    def shift(self) -> Floats:
        """``d``, ``[N, C]``."""
        return np.asarray(self.candidate - self.reference, dtype=np.float64)

    @cached_property
    def centred(self) -> Floats:
        """``d`` less the mean of its row, ``[N, C]``."""
        return np.asarray(self.shift - self.shift.mean(axis=1, keepdims=True), dtype=np.float64)

    @cached_property
    def p_centred(self) -> Floats:
        """``u = d - sum_c p_c d_c``, ``[N, C]``."""
        # The likeliest class's shift goes first, exactly: the mean that remains is small where p is confident.
        rest = self.shift - np.take_along_axis(self.shift, self.p.prediction[:, None], axis=1)
        return np.asarray(rest - (self.p.probability * rest).sum(axis=1, keepdims=True), dtype=np.float64)

    @cached_property
    def kl(self) -> Floats:
        """``KL(p || p*)``, ``[N]``: see ``kl_divergence``."""
        p, u = self.p.probability, self.p_centred
        excess = (p * expm1_excess(np.minimum(u, 1))).sum(axis=1)
        result = np.log1p(excess)
        steep = np.flatnonzero((u > 1).any(axis=1))
        if len(steep):
            result[steep] = steep_kl(self.p.log()[steep], p[steep], u[steep])
        return np.asarray(result, dtype=np.float64)

    @cached_property
    def log_ratio(self) -> Floats:
        """``r = log p* - log p``, ``[N, C]``."""
        return np.asarray(self.p_centred - self.kl[:, None], dtype=np.float64)

    @cached_property
    def kl_reverse(self) -> Floats:
        """``KL(p* || p) = sum_c p*_c (e^-r_c - 1 + r_c)``, ``[N]``, because the ``p*_c (e^-r_c - 1)`` sum to 0."""
        p, q, back = self.p.probability, self.q.probability, -self.log_ratio
        # Above 1 nothing cancels, and p is q e^-r without the overflow.
        terms = np.where(back > 1, p - q * (1 + back), q * expm1_excess(np.minimum(back, 1)))
        return np.asarray(terms.sum(axis=1), dtype=np.float64)

    @cached_property
    def js(self) -> Floats:
        """Jensen-Shannon divergence, ``[N]``: see ``js_divergence``."""
        mixture = (self.p.probability + self.q.probability) / 2
        return np.asarray(np.minimum((mixture * js_term(self.log_ratio)).sum(axis=1), math.log(2)), dtype=np.float64)

    @cached_property
    def change(self) -> Floats:
        """``p* - p``, ``[N, C]``, as ``p expm1(r)`` where the difference would cancel."""
        p, r = self.p.probability, self.log_ratio
        return np.where(np.abs(r) < 1, p * np.expm1(np.clip(r, -1, 1)), self.q.probability - p)

    def logit_distance(self) -> Floats:
        """See ``logit_distance``."""
        return np.asarray((self.shift**2).mean(axis=1), dtype=np.float64)

    def logit_distance_centred(self) -> Floats:
        """See ``logit_distance``."""
        return np.asarray((self.centred**2).mean(axis=1), dtype=np.float64)

    def largest_shift(self) -> Floats:
        """``max_c |d_c - mean d|``, ``[N]``."""
        return np.asarray(np.abs(self.centred).max(axis=1), dtype=np.float64)

    def probability_distance(self) -> Floats:
        """See ``probability_distance``."""
        return np.asarray(np.linalg.norm(self.change, axis=1), dtype=np.float64)

    def total_variation(self) -> Floats:
        """See ``total_variation``."""
        return np.asarray(np.abs(self.change).sum(axis=1) / 2, dtype=np.float64)

    def residual(self, labels: Integers) -> Floats:
        """``(p - e_y) . d``, ``[N]``, which is ``-u_y``; the loss changes by it and the divergence."""
        return np.asarray(-self.p_centred[np.arange(len(labels)), labels], dtype=np.float64)

    def top_k_agreement(self, k: int) -> Floats:
        """``|top k of s, and of s*| / k``, ``[N]``; of equal logits the lower class ranks higher."""
        shared = top(self.reference, k) & top(self.candidate, k)
        return np.asarray(shared.sum(axis=1) / k, dtype=np.float64)


def _checked(reference: ArrayLike, candidate: ArrayLike) -> tuple[Floats, Floats]:
    """Both models' logits, checked, as float64 ``[N, C]``."""
    first, second = check_logits(reference, "the reference"), check_logits(candidate, "the candidate")
    if first.shape != second.shape:
        raise ValueError(
            f"the reference's logits have shape {first.shape} but the candidate's {second.shape}: "
            "run both models, with the same classes, on the same instances"
        )
    return first, second
