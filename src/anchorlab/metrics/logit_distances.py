"""Distances of the logits."""

from __future__ import annotations

from numpy.typing import ArrayLike

from anchorlab.metrics.base import Metric
from anchorlab.metrics.pair import Pair
from anchorlab.metrics.summaries import Maximum, Percentile
from anchorlab.statistics.arrays import Floats

LOGIT_DISTANCE = Metric(
    "logit_distance",
    title="logit distance",
    definition="Mean over clean instances and classes of the squared shift of a logit; anchoring's own loss.",
    each=lambda pair, _: pair.logit_distance(),
    unit="squared logits",
    formula="`(1/C) sum_c d_c²`",
    limits="0 to ∞",
    scale="log",
    compared_as="ratio",
    cites=("zhang2022how",),
)
LOGIT_DISTANCE_CENTRED = Metric(
    "logit_distance_centred",
    title="centred logit distance",
    definition="Logit distance after the shift common to all classes is taken off, which no probability shows.",
    each=lambda pair, _: pair.logit_distance_centred(),
    unit="squared logits",
    formula="`(1/C) sum_c (d_c - mean d)²`",
    limits="0 to ∞",
    scale="log",
    compared_as="ratio",
)
SHIFT_P50 = Metric(
    "shift_p50",
    title="shift p50",
    definition="Median over instances of the largest centred logit shift.",
    summary=Percentile("shift", 50),
    unit="logits",
    formula="median over instances of `max_c abs(d_c - mean d)`",
    limits="0 to ∞",
    scale="log",
)
SHIFT_P95 = Metric(
    "shift_p95",
    title="shift p95",
    definition="95th percentile over instances of the largest centred logit shift.",
    summary=Percentile("shift", 95),
    unit="logits",
    formula="95th percentile over instances of `max_c abs(d_c - mean d)`",
    limits="0 to ∞",
    scale="log",
)
SHIFT_P99 = Metric(
    "shift_p99",
    title="shift p99",
    definition="99th percentile over instances of the largest centred logit shift.",
    summary=Percentile("shift", 99),
    unit="logits",
    formula="99th percentile over instances of `max_c abs(d_c - mean d)`",
    limits="0 to ∞",
    scale="log",
)
SHIFT_MAX = Metric(
    "shift_max",
    title="shift max",
    definition="Largest centred logit shift of any instance; it grows with their number and has no interval within a "
    "run.",
    summary=Maximum("shift"),
    unit="logits",
    formula="the largest of the same",
    limits="0 to ∞",
    scale="log",
)


def logit_distance(reference: ArrayLike, candidate: ArrayLike, centred: bool = False) -> Floats:
    """Mean over classes of the squared shift, ``(1/C) sum_c d_c^2``: float64 ``[N]``, squared logits.

    This is the anchor loss of Zhang et al. 2022, an instance at a time. ``centred`` takes the mean shift
    of the row away first, because softmax does not see it.

    Args:
        reference: logits ``[N, C]``.
        candidate: logits ``[N, C]``.
        centred: whether ``d_c`` stands for ``d_c - mean_c d``.

    Raises:
        ValueError: if the shapes differ, N is 0, C is below 2, or a logit is not finite.
    """
    pair = Pair(reference, candidate)
    return pair.logit_distance_centred() if centred else pair.logit_distance()
