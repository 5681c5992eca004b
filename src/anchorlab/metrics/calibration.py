"""The loss, the Brier score, the calibration error and the score of the true class."""

from __future__ import annotations

from numpy.typing import ArrayLike

from anchorlab.metrics.base import Metric
from anchorlab.metrics.numerics import Softmax, check_labels, check_logits
from anchorlab.metrics.summaries import Calibration, Correlation, Mean
from anchorlab.statistics.arrays import Floats

PEARSON_SCORE = Metric(
    "pearson_score",
    title="Pearson score",
    definition="Correlation, over clean instances, of the true class's log-probability in both models.",
    summary=Correlation(lambda table: table["score_reference"], lambda table: table["score"], "the true-class score"),
    unit="correlation",
    formula="correlation of `log p_y` and `log p*_y`",
    limits="−1 to 1",
    better="higher",
)
NLL = Metric(
    "nll",
    title="NLL",
    definition="Mean negative log-likelihood of the true labels.",
    summary=Mean(lambda table: -table["score"]),
    unit="nats",
    formula="`-log p*_y`",
    limits="0 to ∞",
    scale="log",
)
NLL_REFERENCE = Metric(
    "nll_reference",
    title="NLL of the reference",
    definition="The reference's mean negative log-likelihood of the true labels.",
    summary=Mean(lambda table: -table["score_reference"]),
    unit="nats",
    formula="`-log p_y`",
    limits="0 to ∞",
    better="",
    scale="log",
    of_reference=True,
)
RESIDUAL = Metric(
    "residual",
    title="residual",
    definition="What the mean loss changes beyond the KL: the change of NLL is KL plus residual.",
    each=lambda pair, labels: pair.residual(labels),
    unit="nats",
    formula="`sum_c (p_c - 1[c = y]) d_c`",
    limits="−∞ to ∞",
    better="",
)
BRIER = Metric(
    "brier",
    title="Brier",
    definition="Mean squared distance of the probabilities from the true labels.",
    each=lambda pair, labels: pair.q.brier(labels),
    formula="`sum_c (p*_c - 1[c = y])²`",
    limits="0 to 2",
    cites=("brier1950verification",),
)
BRIER_REFERENCE = Metric(
    "brier_reference",
    title="Brier of the reference",
    definition="The reference's mean squared distance of the probabilities from the true labels.",
    each=lambda pair, labels: pair.p.brier(labels),
    formula="`sum_c (p_c - 1[c = y])²`",
    limits="0 to 2",
    better="",
    of_reference=True,
)
ECE = Metric(
    "ece",
    title="ECE",
    definition="Expected calibration error, in 15 bins of equal mass: how far confidence and accuracy lie apart.",
    summary=Calibration("confidence", lambda table: table.right),
    formula="expected calibration error, 15 bins of equal mass",
    limits="0 to 1",
    cites=("naeini2015obtaining", "nguyen2015posterior"),
)
ECE_REFERENCE = Metric(
    "ece_reference",
    title="ECE of the reference",
    definition="The reference's expected calibration error.",
    summary=Calibration("confidence_reference", lambda table: table.right_reference),
    formula="the same of the reference",
    limits="0 to 1",
    better="",
    of_reference=True,
)


def true_class_score(logits: ArrayLike, labels: ArrayLike) -> Floats:
    """The true class's log-probability ``log p_y`` of logits ``[N, C]``: float64 ``[N]``, nats, at most 0.

    The log-probability, not ``p_y``, because it still orders instances that are all nearly certain.

    Raises:
        ValueError: if N is 0, C is below 2, a logit is not finite, or a label is not a class.
    """
    values = check_logits(logits, "the model")
    return Softmax(values).log_of(check_labels(labels, values.shape))
