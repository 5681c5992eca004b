"""Intervals by hand, and against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.intervals import (
    DECIMAL_TAILS,
    TAILS,
    between_order_statistics,
    between_replicates,
    rate,
    wilson,
)


@pytest.mark.parametrize(("count", "total"), [(0, 10), (10, 10), (5, 10), (487, 488), (1, 1)])
def test_intervals_are_wilsons(count, total):
    """(p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n) with z the 97.5% quantile of the normal."""
    z, p = 1.959963984540054, count / total
    centre = p + z**2 / (2 * total)
    half = z * math.sqrt(p * (1 - p) / total + z**2 / (4 * total**2))
    expected = [(centre + sign * half) / (1 + z**2 / total) for sign in (-1, 1)]
    assert wilson(count, total) == pytest.approx(expected, abs=1e-12)
    assert rate(count, total) == Estimate(p, *wilson(count, total))


def test_the_interval_of_a_bootstrap_lies_between_its_percentiles() -> None:
    replicates = np.random.default_rng(0).normal(size=999)
    assert between_replicates(replicates) == pytest.approx(tuple(np.percentile(replicates, [2.5, 97.5])))
    assert between_replicates(replicates, DECIMAL_TAILS) == tuple(np.percentile(replicates, [2.5, 97.5]))
    assert pytest.approx(DECIMAL_TAILS, abs=1e-15) == TAILS


def test_the_interval_of_the_median_is_that_of_a_binomial_count() -> None:
    """Of 10 values, from 2 to 8 lie below the median in at least 95 of 100 cases: the 2nd to the 9th value."""
    assert between_order_statistics(np.arange(1.0, 11.0), 50) == (2.0, 9.0)
    assert between_order_statistics(np.arange(3.0), 99) is None


@pytest.mark.parametrize(("count", "percent"), [(6, 50), (30, 50), (47, 90), (200, 95), (900, 99)])
def test_the_interval_of_a_percentile_leaves_at_most_a_fortieth_at_each_end_and_could_be_no_narrower(count, percent):
    """From the a-th to the b-th of ``count`` values: the values below the percentile are binomial."""
    a, b = map(int, between_order_statistics(np.arange(1.0, count + 1), percent))
    below = binom(count, percent / 100)
    assert below.cdf(a - 1) <= 0.025 < below.cdf(a)
    assert below.sf(b - 1) <= 0.025 < below.sf(b - 2)


@pytest.mark.parametrize(("count", "percent"), [(5, 50), (28, 10), (28, 90)])
def test_too_few_values_for_either_end_give_no_interval(count, percent):
    assert between_order_statistics(np.arange(1.0, count + 1), percent) is None
