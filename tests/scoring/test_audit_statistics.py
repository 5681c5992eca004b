"""Statistics of an audit: ranks, power, and what each kind of access can see."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from anchorlab.metrics import Pair, kl_divergence
from anchorlab.scoring.audit_statistics import (
    audit_values,
    largest_churn,
    noticeable,
    sizes,
    values_of,
)
from anchorlab.statistics.intervals import wilson


def test_labels_alone_see_no_logits():
    before = np.eye(3)[np.arange(30) % 3]
    seen = values_of(Pair(before, 50 * before))
    assert seen["labels"].sum() == 0
    assert seen["logits"].mean() > 100
    other = values_of(Pair(before, np.roll(before, 1, axis=1)))
    assert other["labels"].mean() == 1


def made(mean: float, updates: list[float], count: int = 3000, level: float = 0.05) -> list:
    """An audit of values drawn around these means."""
    draw = np.random.default_rng(1)

    def around(value: float) -> dict[str, np.ndarray]:
        return {"probabilities": draw.gamma(1.0, value, size=count)}

    return audit_values(around(mean), [around(value) for value in updates], seed=0, level=level)


@pytest.mark.parametrize(("mean", "direction"), [(2.0, "more"), (0.5, "less")])
def test_power_grows_with_queries_where_something_is_there(mean, direction):
    (found,) = made(mean, [1.0] * 39)
    assert (found.p, found.direction) == (0.05, direction)
    assert found.power["power"].iloc[-1] == 1
    assert found.queries < 1000
    assert np.corrcoef(np.log(found.power["queries"]), found.power["power"])[0, 1] > 0.8
    assert found.statistic.lower < mean < found.statistic.upper


def test_and_stays_at_the_level_where_nothing_is():
    (found,) = made(1.0, [1.0] * 39)
    assert found.power["power"].iloc[:8].mean() < 0.12


def test_what_would_have_been_noticed_is_noticed_in_nineteen_of_twenty_draws():
    """Labels by the binomial, a mean of exponential values by the normal: audits of candidates just so large."""
    draw = np.random.default_rng(3)
    updates = (draw.random((400, 39)) < 0.05).astype(float)
    labels = noticeable("labels", updates, 0.05)
    counts = updates.sum(axis=0)
    assert (draw.binomial(400, labels.above, 4000) > counts.max()).mean() == pytest.approx(0.95, abs=0.012)
    assert (draw.binomial(400, labels.below, 4000) < counts.min()).mean() == pytest.approx(0.95, abs=0.012)
    values = draw.exponential(0.2, (400, 39))
    kl = noticeable("probabilities", values, 0.05)
    means = values.mean(axis=0)
    assert (draw.exponential(kl.above, (4000, 400)).mean(axis=1) > means.max()).mean() == pytest.approx(0.95, abs=0.015)
    assert (draw.exponential(kl.below, (4000, 400)).mean(axis=1) < means.min()).mean() == pytest.approx(0.95, abs=0.015)


def test_nothing_is_noticed_below_updates_that_change_no_label_nor_by_too_few_updates():
    still = np.zeros((20, 39))
    assert noticeable("labels", still, 0.05).below is None
    assert noticeable("labels", still, 0.05).above == pytest.approx(stats.beta.ppf(0.95, 1, 20))
    assert noticeable("labels", still[:, :38], 0.05).above is None
    assert noticeable("labels", np.ones((3, 39)), 0.05).above is None


def test_each_setting_is_read_alone():
    (found,) = audit_values(
        {"labels": np.full(4, 0.5)},
        [{"labels": np.full(4, value)} for value in (0.1, 0.2, 0.7, 0.8, 0.9)],
        seed=0,
        settings=["short"] * 2 + ["long"] * 3,
    )
    assert dict(found.by_setting) == {"short": 2 / 3, "long": 0.5}
    assert found.null_of("long") == (0.7, 0.8, 0.9)
    assert found.p == 1.0


def test_what_churn_no_difference_excludes_and_which_numbers_of_queries_are_tried():
    assert largest_churn(100) == pytest.approx(stats.beta.ppf(0.95, 1, 100))
    assert sizes(30) == [1, 2, 5, 10, 22, 30]


def test_where_no_label_differs_nothing_is_found_with_any_number_of_queries():
    """The candidate ties with every update, and a tie rejects nothing."""
    (found,) = audit_values({"labels": np.zeros(50)}, [{"labels": np.zeros(50)}] * 39, seed=0)
    assert (found.value, found.p, found.queries) == (0.0, 1.0, None)
    assert (found.power["power"] == 0).all()


@pytest.mark.parametrize("changed", [0, 7, 50])
def test_a_rate_of_labels_has_wilsons_interval_which_has_a_width_at_its_ends(changed: int) -> None:
    (found,) = audit_values({"labels": (np.arange(50) < changed).astype(float)}, [{"labels": np.zeros(50)}], seed=0)
    assert found.statistic.bounds == wilson(changed, 50)


def test_each_access_has_its_own_statistic():
    """Logits see no constant that all classes share, and probabilities are seen from the reference's side."""
    draw = np.random.default_rng(0)
    before, after = draw.normal(size=(2, 20, 4))
    assert values_of(Pair(before, before + 5))["logits"] == pytest.approx(np.zeros(20), abs=1e-12)
    seen = values_of(Pair(before, after))
    assert seen["probabilities"] == pytest.approx(kl_divergence(before, after))
    assert seen["probabilities"] != pytest.approx(kl_divergence(after, before), rel=0.1)
    assert seen["labels"].tolist() == (before.argmax(axis=1) != after.argmax(axis=1)).tolist()


def test_what_is_noticeable_by_hand():
    """39 updates in which 1 to 39 of 100 labels differ: at a level of .1, two at each end need not be left behind."""
    updates = (np.arange(100)[:, None] < np.arange(1, 40)).astype(float)
    labels = noticeable("labels", updates, 0.1)
    assert labels.above == pytest.approx(stats.beta.ppf(0.95, 38 + 1, 100 - 38))
    assert labels.below == pytest.approx(stats.beta.ppf(0.05, 2, 100 - 2 + 1))
    # Values of 0 and twice their mean: each deviates from it by the mean, and the mean of 100 by a tenth of it.
    values = np.tile([0.0, 2.0], 50)[:, None] * np.arange(1, 40)
    kl = noticeable("probabilities", values, 0.05)
    tenth = stats.norm.ppf(0.95) / 10
    assert (kl.above, kl.below) == (pytest.approx(39 / (1 - tenth)), pytest.approx(1 / (1 + tenth)))


def test_the_candidate_has_no_say_in_what_is_noticeable():
    updates = np.zeros((50, 39))
    (found,) = audit_values({"labels": np.ones(50)}, [{"labels": update} for update in updates.T], seed=0)
    assert found.noticeable == noticeable("labels", updates, 0.05)
