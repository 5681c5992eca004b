"""Which classes both models predict, and which of them are right."""

from __future__ import annotations

import numpy as np

from anchorlab.metrics.base import Metric
from anchorlab.metrics.pair import Pair
from anchorlab.metrics.summaries import Correlation, Count, Mean
from anchorlab.metrics.table import InstanceTable
from anchorlab.statistics.arrays import Floats, Integers, Truths

#: Fewer classes than this have no top-5 accuracy: with five, every answer would be right.
_LEAST_CLASSES = 6


def _among_five(pair: Pair, model: int, labels: Integers) -> Floats:
    """1 where the true class is among the five of largest logits, else 0, ``[N]``; NaN if there are too few classes.

    The model is 0 for the reference and 1 for the candidate.
    """
    if pair.classes < _LEAST_CLASSES:
        return np.full(len(labels), np.nan)
    return np.asarray((pair.likeliest[model] == labels[:, None]).any(axis=1), dtype=np.float64)


def _top_5(column: str) -> Mean:
    """The share of instances with a 1 in a column that ``_among_five`` made."""

    def known(table: InstanceTable) -> Truths:
        return np.asarray(~np.isnan(table[column]), dtype=np.bool_)

    return Mean(
        lambda table: table[column] == 1,
        known,
        lambda _: f"with fewer than {_LEAST_CLASSES} classes every class is among the five most likely ones",
    )


COUNT = Metric(
    "count",
    title="clean instances",
    definition="Number of clean instances.",
    summary=Count(),
    unit="instances",
    formula="N",
    limits="1 to ∞",
    better="",
)
ACCURACY = Metric(
    "accuracy",
    title="accuracy",
    definition="Share of clean instances that the candidate gets right.",
    summary=Mean(lambda table: table.right),
    formula="1 if `argmax s*` is `y`",
    limits="0 to 1",
    better="higher",
)
ACCURACY_REFERENCE = Metric(
    "accuracy_reference",
    title="accuracy of the reference",
    definition="Share of clean instances that the reference gets right.",
    summary=Mean(lambda table: table.right_reference),
    formula="1 if `argmax s` is `y`",
    limits="0 to 1",
    better="",
    of_reference=True,
)
TOP_5_ACCURACY = Metric(
    "top_5_accuracy",
    title="top-5 accuracy",
    definition="Share of clean instances whose true class is among the candidate's five most likely ones; from six "
    "classes on.",
    each=lambda pair, labels: _among_five(pair, 1, labels),
    summary=_top_5("top_5_accuracy"),
    formula="1 if `y` is among the 5 largest classes of `s*`",
    limits="0 to 1",
    better="higher",
)
TOP_5_ACCURACY_REFERENCE = Metric(
    "top_5_accuracy_reference",
    title="top-5 accuracy of the reference",
    definition="Share of clean instances whose true class is among the reference's five most likely ones; from six "
    "classes on.",
    each=lambda pair, labels: _among_five(pair, 0, labels),
    summary=_top_5("top_5_accuracy_reference"),
    formula="1 if `y` is among the 5 largest classes of `s`",
    limits="0 to 1",
    better="",
    of_reference=True,
)
CHURN = Metric(
    "churn",
    title="churn",
    definition="Share of clean instances that the candidate predicts otherwise than the reference.",
    summary=Mean(lambda table: table.prediction_reference != table.prediction),
    formula="1 if `argmax s` is not `argmax s*`",
    limits="0 to 1",
    cites=("milanifard2016launch",),
)
NEGATIVE_FLIPS = Metric(
    "negative_flips",
    title="negative flips",
    definition="Share of clean instances that the reference gets right and the candidate wrong.",
    summary=Mean(lambda table: table.right_reference & ~table.right),
    formula="1 if right became wrong",
    limits="0 to 1",
    cites=("yan2021positive",),
)
POSITIVE_FLIPS = Metric(
    "positive_flips",
    title="positive flips",
    definition="Share of clean instances that the reference gets wrong and the candidate right.",
    summary=Mean(lambda table: ~table.right_reference & table.right),
    formula="1 if wrong became right",
    limits="0 to 1",
    better="",
)
TOP_K_AGREEMENT = Metric(
    "top_k_agreement",
    title="top-k agreement",
    definition="Mean share of the reference's k highest classes among the candidate's; k is 5, or one less than the "
    "classes.",
    each=lambda pair, _: pair.top_k_agreement(),
    formula="share of the k largest classes of `s` that are among the k largest of `s*`, k = min(5, C − 1)",
    limits="0 to 1",
    better="higher",
)
PEARSON_CORRECT = Metric(
    "pearson_correct",
    title="Pearson correct",
    definition="Correlation, over clean instances, of the reference being right with the candidate being right. It "
    "depends on accuracy too, so read it beside churn.",
    summary=Correlation(lambda table: table.right_reference, lambda table: table.right, "being right"),
    unit="correlation",
    formula='correlation of "the reference is right" and "the candidate is right"',
    limits="−1 to 1",
    better="higher",
    cites=("zhang2022how",),
)
