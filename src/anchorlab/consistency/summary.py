"""Every metric of two models on the same clean instances, as one record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

from anchorlab.consistency.instances import instances
from anchorlab.errors import AnchorlabError
from anchorlab.metrics import METRICS, InstanceTable, Mean

if TYPE_CHECKING:
    import pandas as pd

#: The metrics that ``by_class`` shows for each true class.
_BY_CLASS = ("churn", "negative_flips", "positive_flips")


class ClassRates(BaseModel):
    """The rates of one true class."""

    model_config = ConfigDict(frozen=True)

    count: int = Field(description="clean instances of the class")
    churn: float = Field(description="share of them with another prediction")
    negative_flips: float = Field(description="share that was right and became wrong")
    positive_flips: float = Field(description="share that was wrong and became right")


class Consistency(BaseModel):
    """What ``summarise`` measures: a field a metric, see ``anchorlab.metrics``. Rates are fractions.

    A metric that a third party registers is a field too, after these, which are declared for type checkers.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    count: int
    accuracy: float
    accuracy_reference: float
    top_5_accuracy: float | None = None  # records of earlier versions have none, nor the others with a default
    top_5_accuracy_reference: float | None = None
    asr: float | None
    asr_count: int
    asr_reference: float | None
    asr_plus_accuracy: float | None = None
    robust_accuracy: float | None = None
    robust_accuracy_reference: float | None = None
    leakage: float | None
    churn: float
    negative_flips: float
    positive_flips: float
    certified: float | None
    top_k_agreement: float
    pearson_correct: float | None
    pearson_score: float | None
    kl: float
    kl_reverse: float
    kl_symmetric: float
    js: float
    total_variation: float
    probability_distance: float
    logit_distance: float
    logit_distance_centred: float
    shift_p50: float
    shift_p95: float
    shift_p99: float
    shift_max: float
    nll: float
    nll_reference: float
    residual: float
    brier: float
    brier_reference: float
    ece: float
    ece_reference: float
    by_class: dict[str, ClassRates] = Field(description="rates of each true class that has instances")
    undefined: dict[str, str] = Field(description="name of each field that is None, to a sentence that says why")

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, as JSON values."""
        return self.model_dump(mode="json")


for _name, _field in Consistency.model_fields.items():
    if _name in METRICS:
        _field.description = METRICS[_name].definition


def consistency_fields() -> list[str]:
    """The fields of ``Consistency`` in their order, metrics of third parties last."""
    return list(dict.fromkeys([*Consistency.model_fields, *METRICS]))


def measure(reference: ArrayLike, candidate: ArrayLike, labels: ArrayLike) -> Consistency:
    """Every metric of two models on the same clean instances.

    Args:
        reference: logits ``[N, C]`` of the reference, any real dtype.
        candidate: logits ``[N, C]`` of the candidate, any real dtype.
        labels: integer ``[N]``, from 0 to C - 1.

    Raises:
        ValueError: if shapes differ, N is 0, C is below 2, a logit is not finite, or a label is not a class.
    """
    return summarise(instances(reference, candidate, labels))


def summarise(
    frame: pd.DataFrame | InstanceTable,
    *,
    classes: Sequence[str] | None = None,
    why_no_attack: str = "no instance is attacked",
) -> Consistency:
    """The measurements of a per-instance table, see ``anchorlab.consistency.instances``.

    Args:
        frame: a row a clean instance.
        classes: names of the classes by label, for ``by_class``; None for the labels themselves.
        why_no_attack: what ``undefined`` says of the attack's rates if no instance is attacked.
    """
    table = frame if isinstance(frame, InstanceTable) else InstanceTable(frame)
    values: dict[str, float | None] = {}
    undefined = {}
    for name, metric in ((name, METRICS[name]) for name in METRICS):
        values[name] = metric.reduction.value(table) if metric.is_in(table) else None
        if name not in METRICS.built_in and not math.isfinite(values[name] or 0):
            raise AnchorlabError(
                f"the metric {name} is {values[name]}: let its summary return a number, or None for none"
            )
        if values[name] is not None:
            continue
        if not metric.is_in(table):
            undefined[name] = "the per-instance table was stored before this metric was registered"
        elif metric.needs_attack and not table.attacked.any():
            undefined[name] = why_no_attack
        else:
            undefined[name] = metric.reduction.why_undefined(table)
    fields: dict[str, Any] = {**values, "by_class": _by_class(table, classes), "undefined": undefined}
    return Consistency(**fields)


def _by_class(table: InstanceTable, classes: Sequence[str] | None) -> dict[str, ClassRates]:
    """The rates of each true class."""
    count = np.bincount(table.label)
    rates = {}
    for name in _BY_CLASS:
        mean = METRICS[name].reduction
        assert isinstance(mean, Mean)
        rates[name] = np.bincount(table.label, weights=mean.each(table)) / np.maximum(count, 1)
    return {
        str(label) if classes is None else classes[label]: ClassRates(
            count=int(count[label]), **{name: float(rate[label]) for name, rate in rates.items()}
        )
        for label in range(len(count))
        if count[label]
    }
