"""Statistics of an audit: ranks, power, and what each kind of access can see."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from anchorlab.metrics import Pair
from anchorlab.scoring.audit_statistics import (
    audit_values,
    largest_churn,
    queries_until_a_difference,
    rank_p,
    sizes,
    values_of,
)


def test_the_p_value_is_a_rank_by_hand():
    assert rank_p(5, [1, 2, 3]) == 0.25
    assert rank_p(2, [1, 2, 3]) == 0.75
    assert rank_p(0, [1, 2, 3]) == 1


def test_it_is_uniform_where_the_candidate_is_one_of_them():
    """2,000 audits with 9 updates: p is one of ten values, each as likely as the others."""
    draw = np.random.default_rng(0)
    values = draw.normal(size=(2000, 10))
    found = [round(10 * rank_p(row[0], row[1:].tolist())) for row in values]
    assert stats.chisquare(np.bincount(found, minlength=11)[1:]).pvalue > 0.01


def test_labels_alone_see_no_logits():
    before = np.eye(3)[np.arange(30) % 3]
    seen = values_of(Pair(before, 50 * before))
    assert seen["labels"].sum() == 0
    assert seen["logits"].mean() > 100
    other = values_of(Pair(before, np.roll(before, 1, axis=1)))
    assert other["labels"].mean() == 1


def made(mean: float, updates: list[float], count: int = 3000) -> list:
    """An audit of values drawn around these means."""
    draw = np.random.default_rng(1)

    def around(value: float) -> dict[str, np.ndarray]:
        return {"probabilities": draw.gamma(1.0, value, size=count)}

    return audit_values(around(mean), [around(value) for value in updates], seed=0)


def test_power_grows_with_queries_where_something_is_there():
    (found,) = made(2.0, [1.0] * 19)
    assert found.p == 0.05
    assert found.level == 0.05
    assert found.power["power"].iloc[-1] == 1
    assert found.queries < 1000
    assert np.corrcoef(np.log(found.power["queries"]), found.power["power"])[0, 1] > 0.8
    assert found.statistic.lower < 2 < found.statistic.upper


def test_and_stays_at_the_level_where_nothing_is():
    (found,) = made(1.0, [1.0] * 19)
    assert found.power["power"].iloc[:8].mean() < 0.12
    (few,) = made(2.0, [1.0] * 4)
    assert few.level == 0.2


def test_how_many_queries_a_difference_takes():
    assert queries_until_a_difference(0.05) == pytest.approx(np.log(0.05) / np.log(0.95))
    assert queries_until_a_difference(0.0) == np.inf
    assert queries_until_a_difference(1.0) == 1
    assert largest_churn(100) == pytest.approx(stats.beta.ppf(0.95, 1, 100))
    assert sizes(30) == [1, 2, 5, 10, 22, 30]
