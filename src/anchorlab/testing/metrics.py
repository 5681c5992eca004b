"""The contract of metrics: a number for each instance, and one for all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from anchorlab.consistency.instances import instances
from anchorlab.metrics import METRICS, InstanceTable, Metric, Pair
from anchorlab.testing.contract import Contract, Finding, NotTriedError, Rule, judge, require

#: With six classes and more every metric is defined, the accuracy of the five most likely ones too.
_INSTANCES, _CLASSES = 60, 7


@dataclass(frozen=True)
class _Trial:
    """A metric on made-up logits."""

    metric: Metric
    name: str

    @cached_property
    def logits(self) -> tuple[Any, Any, Any]:
        """Of the reference and the candidate, float64 ``[N, C]``, and labels int64 ``[N]``."""
        draw = np.random.default_rng(0)
        reference = draw.normal(size=(_INSTANCES, _CLASSES)) * 3
        candidate = reference + draw.normal(size=reference.shape)
        return reference, candidate, draw.integers(0, _CLASSES, _INSTANCES)

    def each(self, order: Any = slice(None)) -> Any:
        """The value of each instance."""
        if self.metric.each is None:
            raise NotTriedError("the metric has no value of each instance")
        reference, candidate, labels = self.logits
        return self.metric.each(Pair(reference[order].copy(), candidate[order].copy()), labels[order].copy())


def _says_what_it_is(trial: _Trial) -> None:
    metric = trial.metric
    require(metric.name.isidentifier(), f"the name '{metric.name}' is no field's: use letters, digits and underscores")
    require(
        metric.name == trial.name,
        f"it calls itself '{metric.name}' and is registered as '{trial.name}': use one name for both",
    )
    require(metric.title and metric.definition, "it has no title or no definition: say what a reader sees")


def _gives_a_value_each(trial: _Trial) -> None:
    values = trial.each()
    shape = np.shape(values)
    require(
        shape == (_INSTANCES,),
        f"each returns the shape {shape} for {_INSTANCES} instances: sum over classes, not over instances",
    )
    require(isinstance(values, np.ndarray), f"each returns {type(values).__name__}: return an array of numpy")
    require(np.isfinite(values.astype(np.float64)).all(), "some values are not finite: work with log-probabilities")


def _takes_each_alone(trial: _Trial) -> None:
    order = np.random.default_rng(1).permutation(_INSTANCES)
    require(
        np.allclose(trial.each(order), trial.each()[order], rtol=1e-9, atol=1e-12),
        "an instance's value depends on the others: put what depends on all into summary",
    )


def _makes_one_number(trial: _Trial) -> None:
    if trial.name not in METRICS or METRICS[trial.name] is not trial.metric:
        raise NotTriedError("it is not registered here")
    value = trial.metric.reduction.value(InstanceTable(instances(*trial.logits)))
    require(
        value is None or math.isfinite(value), f"it measures {value!r}: give a finite number, or None for undefined"
    )


_RULES: tuple[Rule[_Trial], ...] = (
    Rule("says what it is", _says_what_it_is),
    Rule("gives a value of each instance", _gives_a_value_each),
    Rule("measures each instance by itself", _takes_each_alone),
    Rule("makes one number of all", _makes_one_number),
)


def check_metric(metric: Metric, name: str = "") -> Contract:
    """The contract of a metric, on made-up logits.

    Args:
        metric: the record.
        name: the name that it is registered under; its own if left out.
    """
    if not isinstance(metric, Metric):
        sentence = "it is no record of anchorlab.metrics.Metric: make one"
        return Contract("metric", name or type(metric).__name__, (Finding("is a metric", "broken", sentence),))
    return Contract("metric", name or metric.name, tuple(judge(_RULES, _Trial(metric, name or metric.name))))
