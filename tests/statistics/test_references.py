"""Means and contrasts over references, against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.references import (
    by_reference,
    contrast_over_references,
    contrasts_by_reference,
    mean_over_references,
    p_values,
)
from anchorlab.statistics.tests import sign_flips
from anchorlab.statistics.two_way import InstanceVariance

REFERENCES = [0, 0, 1, 1, 1, 2, 3]


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(3).uniform(0.2, 0.6, len(REFERENCES))


def interval(means: np.ndarray) -> tuple[float, float]:
    ends = stats.ttest_1samp(means, 0.0).confidence_interval(0.95)
    return float(ends.low), float(ends.high)


def test_each_reference_counts_once_however_many_runs_it_has(values) -> None:
    means = np.array([values[:2].mean(), values[2:5].mean(), values[5], values[6]])
    found = mean_over_references(values, REFERENCES)
    assert (found.value, found.bounds) == (pytest.approx(means.mean()), pytest.approx(interval(means)))
    assert (found.units, found.each, found.averaging) == (4, (), "plain")


def test_more_runs_on_the_same_references_do_not_narrow_the_interval(values) -> None:
    once = mean_over_references(values, range(len(values)))
    assert mean_over_references(np.tile(values, 6), [*range(len(values))] * 6).bounds == pytest.approx(once.bounds)


@pytest.mark.parametrize("averaging", ["geometric", "rate", "plain"])
def test_the_order_of_runs_and_the_names_of_references_do_not_matter(values, averaging) -> None:
    order = np.random.default_rng(1).permutation(len(values))
    names = [f"digits {REFERENCES[run]}" for run in order]
    found, again = (mean_over_references(*both, averaging) for both in ((values, REFERENCES), (values[order], names)))
    assert (found.value, found.lower, found.upper) == pytest.approx((again.value, again.lower, again.upper))


def test_a_geometric_mean_has_student_s_interval_of_the_logarithms(values) -> None:
    logs = np.log(values)
    means = np.array([logs[:2].mean(), logs[2:5].mean(), logs[5], logs[6]])
    found = mean_over_references(values, REFERENCES, "geometric")
    assert found.value == pytest.approx(stats.gmean(np.exp(means)))
    assert found.bounds == pytest.approx(tuple(np.exp(interval(means))))
    assert found.averaging == "geometric"


def test_a_geometric_mean_scales_with_its_values(values) -> None:
    found, tenfold = (mean_over_references(factor * values, REFERENCES, "geometric") for factor in (1, 10))
    assert np.divide([tenfold.value, *tenfold.bounds], [found.value, *found.bounds]) == pytest.approx([10] * 3)


def test_with_a_value_of_exactly_0_the_mean_is_plain_and_says_so() -> None:
    found = mean_over_references([0.0, 0.1, 0.5], [0, 1, 2], "geometric")
    assert (found.value, found.averaging) == (pytest.approx(0.2), "plain")
    assert found.lower == 0  # the plain interval would end below
    assert mean_over_references([0.0, 0.0, 0.0], [0, 1, 2], "geometric") == Estimate(0.0)
    with pytest.raises(ValueError, match="0 or more"):
        mean_over_references([-0.1, 0.1, 0.5], [0, 1, 2], "geometric")


def test_the_interval_of_a_rate_is_cut_to_its_range() -> None:
    found = mean_over_references([0.99, 1.0, 0.9], [0, 1, 2], "rate")
    assert found.upper == 1
    assert found.lower == pytest.approx(interval(np.array([0.99, 1.0, 0.9]))[0])


@pytest.mark.parametrize("references", [3, 6, 12])
@pytest.mark.parametrize("rate", [0, 1])
def test_a_rate_that_all_references_give_0_or_1_has_clopper_and_pearson_s_interval(references, rate) -> None:
    expected = stats.binomtest(rate * references, references).proportion_ci(0.95, method="exact")
    found = mean_over_references([float(rate)] * 2 * references, [*range(references)] * 2, "rate")
    assert (found.value, found.bounds) == (rate, pytest.approx((expected.low, expected.high)))
    assert found.lower < found.upper


@pytest.mark.parametrize("averaging", ["geometric", "rate", "plain"])
def test_references_that_do_not_differ_have_no_interval(averaging) -> None:
    found = mean_over_references([0.3] * 6, range(6), averaging)
    assert found.value == pytest.approx(0.3)
    assert (found.bounds, found.units) == (None, 6)


def test_what_has_limits_keeps_them() -> None:
    found = mean_over_references([0.1, 0.2, 1.9], [0, 1, 2], limits=(0.0, 2.0))
    assert found.bounds == (0.0, 2.0)


@pytest.mark.parametrize("averaging", ["geometric", "rate", "plain"])
def test_one_or_two_references_have_values_of_their_own_and_no_interval(averaging) -> None:
    one = mean_over_references([0.2, 0.2], [7, 7], averaging)
    two = mean_over_references([0.2, 0.4, 0.4], [7, 9, 9], averaging)
    assert (one.bounds, one.each, one.units) == (None, pytest.approx((0.2,)), 1)
    assert (two.bounds, two.each, two.units) == (None, pytest.approx((0.2, 0.4)), 2)
    assert two.value == pytest.approx(math.sqrt(0.08) if averaging == "geometric" else 0.3)


@pytest.mark.parametrize("missing", [None, math.nan, math.inf])
def test_where_a_run_is_undefined_the_mean_is(missing) -> None:
    found = mean_over_references([0.2, missing, 0.4], [0, 1, 2])
    assert (found, found.units) == (Estimate(None), 3)
    assert contrast_over_references([0.2, missing, 0.4], [1, 1, 1], [0, 1, 2]) == Estimate(None)
    assert mean_over_references([], []) == Estimate(None)


def test_each_value_needs_its_reference() -> None:
    with pytest.raises(ValueError, match="3 values and 2 references"):
        mean_over_references([0.1, 0.2, 0.3], [0, 1])


def test_a_ratio_is_of_geometric_means_and_paired_by_reference(values) -> None:
    theirs = values * np.random.default_rng(4).uniform(1, 2, len(values))
    logs = by_reference(np.log(values / theirs), REFERENCES)
    found = contrast_over_references(values, theirs, REFERENCES, "geometric")
    ours, other = (mean_over_references(side, REFERENCES, "geometric").value for side in (values, theirs))
    assert found.value == pytest.approx(ours / other)
    assert found.bounds == pytest.approx(tuple(np.exp(interval(logs))))
    turned = contrast_over_references(theirs, values, REFERENCES, "geometric")
    assert (1 / found.value, 1 / found.upper) == pytest.approx((turned.value, turned.lower))
    assert contrast_over_references([0.0, 1, 1], [1, 1, 1], [0, 1, 2], "geometric") == Estimate(None)


def test_a_difference_is_paired_by_reference(values) -> None:
    theirs = values[::-1]
    expected = stats.ttest_rel(by_reference(values, REFERENCES), by_reference(theirs, REFERENCES))
    found = contrast_over_references(values, theirs, REFERENCES, "rate")
    ends = expected.confidence_interval(0.95)
    assert found.bounds == pytest.approx((ends.low, ends.high))
    assert found.value == pytest.approx(-contrast_over_references(theirs, values, REFERENCES, "rate").value)


def test_the_interval_of_a_difference_of_rates_is_cut_to_what_they_can_differ_by() -> None:
    assert contrast_over_references([1.0, 0.9, 0.2], [0.0, 0.0, 0.0], [0, 1, 2], "rate").upper == 1


def test_p_values_begin_at_twelve_references() -> None:
    each = np.random.default_rng(0).normal(0.4, 1, (2, 12))
    assert p_values(list(each)) == sign_flips(list(each), seed=0)
    assert p_values([each[0, :11], each[1, :11]]) == [None, None]
    assert p_values([np.full(12, np.inf), each[1]]) == [None, *sign_flips([each[1]], seed=0)]


def test_seeds_of_one_reference_are_averaged_before_signs_are_flipped() -> None:
    contrasts = contrasts_by_reference([2.0, 4.0, 9.0], [1.0, 1.0, 1.0], ["a", "a", "b"])
    assert contrasts.tolist() == [2.0, 8.0]


def test_references_that_differ_by_powers_mark_the_interval_of_an_arithmetic_mean() -> None:
    apart, near = [0.01, 0.02, 0.2], [0.1, 0.11, 0.12]
    assert [mean_over_references(apart, range(3), how).is_skewed for how in ("plain", "rate", "geometric")] == [
        True, True, False
    ]  # fmt: skip
    assert not mean_over_references(near, range(3), "rate").is_skewed
    assert not mean_over_references([0.0, 0.1, 0.3], range(3), "rate").is_skewed
    assert not mean_over_references(apart[1:], range(2), "rate").is_skewed


def test_an_interval_over_instances_is_never_narrower_than_student_s_t() -> None:
    """Three references that happen to be alike make nearly all of the variance look like the instances'."""
    means = [0.5, 0.501, 0.502]
    alone = mean_over_references(means, range(3))
    counted = mean_over_references(means, range(3), instances=InstanceVariance(800, 2e-7, 1e-8))
    assert counted.over_instances
    assert counted.upper - counted.lower >= alone.upper - alone.lower


@pytest.mark.parametrize(("spread", "skewed"), [(0.29, False), (0.31, True)])
def test_an_interval_is_marked_from_a_deviation_of_three_tenths_on(spread, skewed) -> None:
    """Of three values at -s, 0 and s the standard deviation is s: of logarithms, and of a rate's logits."""
    at = np.array([-spread, 0.0, spread])
    assert mean_over_references(np.exp(at), range(3), "plain").is_skewed is skewed
    assert mean_over_references(expit(at), range(3), "rate").is_skewed is skewed
    assert mean_over_references(expit(3 + at), range(3), "rate").is_skewed is skewed


def test_a_fall_of_rates_is_cut_to_minus_one() -> None:
    found = contrast_over_references([0.0, 0.1, 0.8], [1.0, 1.0, 1.0], [0, 1, 2], "rate")
    assert found.lower == -1
    assert found.value == pytest.approx(-0.7)


@pytest.mark.parametrize(("share", "counted"), [(0.19, False), (0.21, True), (0.45, True)])
def test_instances_count_from_a_fifth_of_the_variance_on(share, counted) -> None:
    means = np.array([0.1, 0.4, 0.5, 0.8])
    between = means.var(ddof=1) / 4
    own = between * share / (1 - share)
    found = mean_over_references(means, range(4), instances=InstanceVariance(500, own + 1e-4, 1e-4))
    assert found.over_instances is counted
