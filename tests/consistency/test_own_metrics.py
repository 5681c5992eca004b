"""Metrics of somebody else's: what they return is checked, and their names must be free."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anchorlab import compare_logits
from anchorlab.metrics import METRICS, Metric
from tests.refusals import refused
from tests.registering import registered

LOGITS = np.array([[1.5, 0.0], [0.0, 2.5], [3.0, -1.0]])
LABELS = np.array([0, 1, 0])


def returning(value: Any, name: str = "own") -> Metric:
    return Metric(name, title="own", definition="own", each=lambda pair, labels: value)


@pytest.mark.parametrize("value", [None, np.full(3, np.nan), np.full(3, np.inf), np.zeros(2), 0.5, ["a", "b", "c"]])
def test_a_metric_makes_a_finite_number_of_each_instance(value: Any) -> None:
    with registered(METRICS, own=returning(value)):
        refused("the metric own does not make a finite number of each instance", compare_logits, LOGITS, LOGITS, LABELS)


@pytest.mark.parametrize("name", ["task", "table", "intervals", "plot"])
def test_a_metric_is_not_called_as_something_else_of_a_comparison(name: str) -> None:
    with registered(METRICS, **{name: returning(np.zeros(3), name)}):
        refused(f"a metric cannot be called '{name}'", compare_logits, LOGITS, LOGITS, LABELS)


def test_a_summary_is_a_number_or_none() -> None:
    class Broken:
        def value(self, table: Any) -> float:
            return float("nan")

    with registered(METRICS, own=Metric("own", title="own", definition="own", summary=Broken())):  # type: ignore[arg-type]
        refused("the metric own is nan", compare_logits, LOGITS, LOGITS, LABELS)
