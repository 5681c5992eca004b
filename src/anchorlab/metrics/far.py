"""Distances of two models whose logits lie far apart, or span far, in an instance: right at any size, but slower.

``row_sums`` takes these rows from here; all others it computes in fewer passes over the logits.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from scipy.special import logsumexp

from anchorlab.metrics.numerics import Softmax, expm1_excess, js_term
from anchorlab.statistics.arrays import Floats


class FarRows:
    """Every divergence as a sum over classes of terms that are never negative, in the log-ratio of the probabilities.

    Args:
        reference: finite logits ``[N, C]`` of the reference.
        candidate: finite logits ``[N, C]`` of the candidate.
    """

    def __init__(self, reference: Floats, candidate: Floats) -> None:
        self._p, self._q = Softmax(reference), Softmax(candidate)
        shift = candidate - reference
        # The likeliest class's shift goes first, exactly: the mean that remains is small where p is confident.
        rest = shift - np.take_along_axis(shift, self._p.prediction[:, None], axis=1)
        #: ``u = d - sum_c p_c d_c``, ``[N, C]``.
        self._centred: Floats = rest - (self._p.probability * rest).sum(axis=1, keepdims=True)

    @cached_property
    def kl(self) -> Floats:
        """``KL(p || p*)``, ``[N]``: see ``kl_divergence``."""
        p, u = self._p.probability, self._centred
        excess = (p * expm1_excess(np.minimum(u, 1))).sum(axis=1)
        result = np.log1p(excess)
        steep = np.flatnonzero((u > 1).any(axis=1))
        if len(steep):
            result[steep] = _steep_kl(self._p.log()[steep], p[steep], u[steep])
        return np.asarray(result, dtype=np.float64)

    @cached_property
    def _log_ratio(self) -> Floats:
        """``r = log p* - log p``, ``[N, C]``."""
        return np.asarray(self._centred - self.kl[:, None], dtype=np.float64)

    @cached_property
    def kl_reverse(self) -> Floats:
        """``KL(p* || p) = sum_c p*_c (e^-r_c - 1 + r_c)``, ``[N]``, because the ``p*_c (e^-r_c - 1)`` sum to 0."""
        p, q, back = self._p.probability, self._q.probability, -self._log_ratio
        # Above 1 nothing cancels, and p is q e^-r without the overflow.
        terms = np.where(back > 1, p - q * (1 + back), q * expm1_excess(np.minimum(back, 1)))
        return np.asarray(terms.sum(axis=1), dtype=np.float64)

    @cached_property
    def js(self) -> Floats:
        """Jensen-Shannon divergence, ``[N]``: see ``js_divergence``."""
        mixture = (self._p.probability + self._q.probability) / 2
        return np.asarray(np.minimum((mixture * js_term(self._log_ratio)).sum(axis=1), math.log(2)), dtype=np.float64)

    @cached_property
    def _change(self) -> Floats:
        """``p* - p``, ``[N, C]``, as ``p expm1(r)`` where the difference would cancel."""
        p, r = self._p.probability, self._log_ratio
        return np.where(np.abs(r) < 1, p * np.expm1(np.clip(r, -1, 1)), self._q.probability - p)

    @cached_property
    def probability_distance(self) -> Floats:
        """``||p - p*||_2``, ``[N]``."""
        return np.asarray(np.linalg.norm(self._change, axis=1), dtype=np.float64)

    @cached_property
    def total_variation(self) -> Floats:
        """``(1/2) sum_c |p_c - p*_c|``, ``[N]``."""
        return np.asarray(np.abs(self._change).sum(axis=1) / 2, dtype=np.float64)


def _steep_kl(log_p: Floats, p: Floats, u: Floats) -> Floats:
    """``log sum_c p_c e^u_c`` for a p-centred ``u`` with large elements, ``[N]``."""
    with np.errstate(over="ignore"):
        # For u above 1 nothing cancels, and exp(log p + u) is finite where e^u alone is not or p is 0.
        excess = np.where(u > 1, np.exp(log_p + u) - p * (1 + u), p * expm1_excess(np.minimum(u, 1))).sum(axis=1)
    overflowed = np.isinf(excess)
    result = np.log1p(excess)
    result[overflowed] = logsumexp(log_p[overflowed] + u[overflowed], axis=1)
    return np.asarray(result, dtype=np.float64)
