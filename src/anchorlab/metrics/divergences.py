"""Kullback-Leibler and Jensen-Shannon divergences of the probabilities, in nats."""

from __future__ import annotations

from numpy.typing import ArrayLike

from anchorlab.metrics.base import Metric
from anchorlab.metrics.pair import Pair
from anchorlab.metrics.summaries import Mean
from anchorlab.statistics.arrays import Floats

KL = Metric(
    "kl",
    title="KL",
    definition="Mean Kullback-Leibler divergence of the candidate's probabilities from the reference's on clean "
    "instances.",
    each=lambda pair, _: pair.kl,
    unit="nats",
    formula="`sum_c p_c log(p_c / p*_c)`",
    limits="0 to ∞",
    scale="log",
    compared_as="ratio",
    cites=("kullback1951information",),
)
KL_REVERSE = Metric(
    "kl_reverse",
    title="reverse KL",
    definition="Mean divergence of the reference's probabilities from the candidate's.",
    each=lambda pair, _: pair.kl_reverse,
    unit="nats",
    formula="`sum_c p*_c log(p*_c / p_c)`",
    limits="0 to ∞",
    scale="log",
    compared_as="ratio",
    cites=("kullback1951information",),
)
KL_SYMMETRIC = Metric(
    "kl_symmetric",
    title="symmetric KL",
    definition="Mean of the Kullback-Leibler divergences in both directions.",
    summary=Mean(lambda table: (table["kl"] + table["kl_reverse"]) / 2),
    unit="nats",
    formula="`(KL(p‖p*) + KL(p*‖p)) / 2`",
    limits="0 to ∞",
    scale="log",
    compared_as="ratio",
    cites=("kullback1951information",),
)
JS = Metric(
    "js",
    title="JS",
    definition="Mean Jensen-Shannon divergence of the probabilities.",
    each=lambda pair, _: pair.js,
    unit="nats",
    formula="`(KL(p‖m) + KL(p*‖m)) / 2`, `m = (p + p*) / 2`",
    limits="0 to ln 2",
    scale="log",
    compared_as="ratio",
    cites=("lin1991divergence",),
)


def kl_divergence(reference: ArrayLike, candidate: ArrayLike) -> Floats:
    """Kullback-Leibler divergence ``KL(p || p*)`` of logits ``[N, C]``: float64 ``[N]``, nats, never below 0.

    ``sum_c p_c (log p_c - log p*_c)`` cancels to noise for shifts below 1e-6. With the p-centred shift
    ``u = d - sum_c p_c d_c`` the same number is ``log1p(sum_c p_c (e^u_c - 1 - u_c))``, a sum of terms
    that are never negative, exact down to the smallest shift.

    Raises:
        ValueError: if the shapes differ, N is 0, C is below 2, or a logit is not finite.
    """
    return Pair(reference, candidate).kl


def js_divergence(reference: ArrayLike, candidate: ArrayLike) -> Floats:
    """Jensen-Shannon divergence ``(KL(p || m) + KL(p* || m)) / 2``, ``m = (p + p*) / 2``: float64 ``[N]``, nats.

    From 0 to ln 2 (Lin 1991). Its terms ``m_c ((r_c / 2) tanh(r_c / 2) - log cosh(r_c / 2))``, with
    ``r = log p* - log p``, are never negative; ``anchorlab.metrics.sums`` has how they are summed.

    Raises:
        ValueError: if the shapes differ, N is 0, C is below 2, or a logit is not finite.
    """
    return Pair(reference, candidate).js
