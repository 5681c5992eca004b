"""The share of predictions that theory alone says cannot have changed."""

from __future__ import annotations

import numpy as np

from anchorlab.metrics.base import Metric
from anchorlab.metrics.pair import Pair
from anchorlab.metrics.summaries import Mean
from anchorlab.statistics.arrays import Truths

#: Relative error of float64 arithmetic: a range so near the margin is not counted as smaller.
_ROUNDING = 1e-9


def certified(pair: Pair) -> Truths:
    """Whether the reference's margin exceeds the range of the logit shift, bool ``[N]``.

    The margin is the largest logit less the second largest. Where it is larger than ``max d - min d``, no other class
    can overtake the predicted one, whatever the shift of each class is. docs/theory.md has the proof.
    """
    return np.asarray(pair.shift_range() < pair.margin() * (1 - _ROUNDING), dtype=np.bool_)


CERTIFIED = Metric(
    "certified",
    title="certified agreement",
    definition="Share of clean instances whose prediction cannot have changed, because the reference's margin exceeds "
    "the range of the instance's logit shift. No prediction of the candidate is looked at; churn is at most 1 less it.",
    each=lambda pair, _: certified(pair),
    summary=Mean(lambda table: table.array("certified").astype(bool)),
    formula="1 if `s_(1) - s_(2) > max d - min d`",
    limits="0 to 1",
    better="higher",
)
