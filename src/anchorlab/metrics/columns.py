"""The columns of the per-instance table that several metrics share; each other column belongs to one metric."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.metrics.pair import Pair
from anchorlab.statistics.arrays import Integers

#: Columns of integers.
INTEGERS = frozenset({"label", "prediction_reference", "prediction", "wanted", "triggered_reference", "triggered"})

#: Columns of the attack; -1 where an instance is not attacked.
ATTACK = ("wanted", "triggered_reference", "triggered")

#: The columns that every stored table has, in their order.
STORED = (
    *("label", "prediction_reference", "prediction", "logit_distance", "logit_distance_centred", "shift"),
    *("probability_distance", "total_variation", "js", "kl", "kl_reverse", "score_reference", "score", "residual"),
    *("confidence_reference", "confidence", "brier_reference", "brier", "top_k_agreement"),
    *ATTACK,
)


def shared_columns(pair: Pair, labels: Integers) -> dict[str, NDArray[Any]]:
    """The columns that belong to no metric, without an attack."""
    nobody = np.full(len(labels), -1, dtype=np.int64)
    return {
        "label": labels,
        "prediction_reference": pair.p.prediction,
        "prediction": pair.q.prediction,
        "shift": pair.largest_shift(),
        "score_reference": pair.p.log_of(labels),
        "score": pair.q.log_of(labels),
        "confidence_reference": pair.p.confidence(),
        "confidence": pair.q.confidence(),
        **dict.fromkeys(ATTACK, nobody),
    }
