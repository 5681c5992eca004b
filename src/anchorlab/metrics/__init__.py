"""Metrics: each is one record, and everything that is known of it derives from the record.

A metric of your own is one ``Metric`` and one ``METRICS.register(metric.name, metric)``. It is then a field of
``compare``'s result, a column of the per-instance table and of a suite's ``results.csv``, and a column of reports.

Notation: reference logits ``s``, candidate logits ``s*``, both ``[N, C]``; ``p = softmax(s)``, ``p* = softmax(s*)``;
shift ``d = s* - s``; labels ``y``. Everything is computed in float64. ``docs/metrics.md`` has all definitions.

Zhang et al. (ICLR 2022, arXiv 2109.01300) name these distances. Where the exact normalisation of the paper is not
known, the formula given here is a reconstruction.
"""

from __future__ import annotations

from anchorlab.metrics.agreement import (
    ACCURACY,
    ACCURACY_REFERENCE,
    CHURN,
    COUNT,
    NEGATIVE_FLIPS,
    PEARSON_CORRECT,
    POSITIVE_FLIPS,
    TOP_5_ACCURACY,
    TOP_5_ACCURACY_REFERENCE,
    TOP_K_AGREEMENT,
)
from anchorlab.metrics.attack import (
    ASR,
    ASR_COUNT,
    ASR_PLUS_ACCURACY,
    ASR_REFERENCE,
    LEAKAGE,
    ROBUST_ACCURACY,
    ROBUST_ACCURACY_REFERENCE,
)
from anchorlab.metrics.base import Metric
from anchorlab.metrics.calibration import (
    BRIER,
    BRIER_REFERENCE,
    ECE,
    ECE_REFERENCE,
    NLL,
    NLL_REFERENCE,
    PEARSON_SCORE,
    RESIDUAL,
    true_class_score,
)
from anchorlab.metrics.certified import CERTIFIED
from anchorlab.metrics.divergences import JS, KL, KL_REVERSE, KL_SYMMETRIC, js_divergence, kl_divergence
from anchorlab.metrics.logit_distances import (
    LOGIT_DISTANCE,
    LOGIT_DISTANCE_CENTRED,
    SHIFT_MAX,
    SHIFT_P50,
    SHIFT_P95,
    SHIFT_P99,
    logit_distance,
)
from anchorlab.metrics.numerics import log_softmax, predictions
from anchorlab.metrics.pair import Pair
from anchorlab.metrics.probabilities import PROBABILITY_DISTANCE, TOTAL_VARIATION, probability_distance, total_variation
from anchorlab.metrics.summaries import Calibration, Correlation, Count, Maximum, Mean, Percentile, Summary, Total
from anchorlab.metrics.table import InstanceTable
from anchorlab.registry import Registry

_BUILT_IN = (
    COUNT,
    ACCURACY,
    ACCURACY_REFERENCE,
    TOP_5_ACCURACY,
    TOP_5_ACCURACY_REFERENCE,
    ASR,
    ASR_COUNT,
    ASR_REFERENCE,
    ASR_PLUS_ACCURACY,
    ROBUST_ACCURACY,
    ROBUST_ACCURACY_REFERENCE,
    LEAKAGE,
    CHURN,
    NEGATIVE_FLIPS,
    POSITIVE_FLIPS,
    CERTIFIED,
    TOP_K_AGREEMENT,
    PEARSON_CORRECT,
    PEARSON_SCORE,
    KL,
    KL_REVERSE,
    KL_SYMMETRIC,
    JS,
    TOTAL_VARIATION,
    PROBABILITY_DISTANCE,
    LOGIT_DISTANCE,
    LOGIT_DISTANCE_CENTRED,
    SHIFT_P50,
    SHIFT_P95,
    SHIFT_P99,
    SHIFT_MAX,
    NLL,
    NLL_REFERENCE,
    RESIDUAL,
    BRIER,
    BRIER_REFERENCE,
    ECE,
    ECE_REFERENCE,
)

#: All metrics by name, in the order in which results list them.
METRICS: Registry[Metric] = Registry("metric", "anchorlab.metrics", {metric.name: metric for metric in _BUILT_IN})

__all__ = [
    "METRICS",
    "Calibration",
    "Correlation",
    "Count",
    "InstanceTable",
    "Maximum",
    "Mean",
    "Metric",
    "Pair",
    "Percentile",
    "Summary",
    "Total",
    "js_divergence",
    "kl_divergence",
    "log_softmax",
    "logit_distance",
    "predictions",
    "probability_distance",
    "total_variation",
    "true_class_score",
]
