"""Distances of the probabilities."""

from __future__ import annotations

from numpy.typing import ArrayLike

from anchorlab.metrics.base import Metric
from anchorlab.metrics.pair import Pair
from anchorlab.statistics.arrays import Floats

TOTAL_VARIATION = Metric(
    "total_variation",
    title="total variation",
    definition="Mean total variation distance of the probabilities: half the sum of absolute differences.",
    each=lambda pair, _: pair.total_variation(),
    formula="`(1/2) sum_c abs(p_c - p*_c)`",
    limits="0 to 1",
)
PROBABILITY_DISTANCE = Metric(
    "probability_distance",
    title="probability distance",
    definition="Mean Euclidean distance of the probability vectors.",
    each=lambda pair, _: pair.probability_distance(),
    formula="`sqrt(sum_c (p_c - p*_c)²)`",
    limits="0 to √2",
)


def probability_distance(reference: ArrayLike, candidate: ArrayLike) -> Floats:
    """Euclidean distance ``||p - p*||_2`` of logits ``[N, C]``: float64 ``[N]``, from 0 to sqrt(2).

    Raises:
        ValueError: if the shapes differ, N is 0, C is below 2, or a logit is not finite.
    """
    return Pair(reference, candidate).probability_distance()


def total_variation(reference: ArrayLike, candidate: ArrayLike) -> Floats:
    """Total variation ``(1/2) sum_c |p_c - p*_c|`` of logits ``[N, C]``: float64 ``[N]``, from 0 to 1.

    Raises:
        ValueError: if the shapes differ, N is 0, C is below 2, or a logit is not finite.
    """
    return Pair(reference, candidate).total_variation()
