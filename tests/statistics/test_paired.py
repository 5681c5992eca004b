"""Paired differences: Student's interval and test against scipy, and the interval of paired rates by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_rel

from anchorlab.statistics.paired import difference_of_paired_rates, mean_interval, mean_test


def test_the_interval_and_the_test_of_a_mean_are_students() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 30))
    found = ttest_rel(second, first)
    interval = found.confidence_interval(0.95)
    assert mean_interval(second - first) == pytest.approx((interval.low, interval.high))
    assert mean_test(second - first) == pytest.approx(found.pvalue)


def test_one_difference_has_neither_interval_nor_p() -> None:
    assert mean_interval(np.array([0.5])) is None
    assert mean_test(np.array([0.5])) is None


def test_differences_that_are_all_the_same_have_no_p_unless_they_are_zero() -> None:
    assert mean_test(np.full(5, 0.25)) is None
    assert mean_test(np.full(3, 0.1)) is None  # whose standard deviation is 1.7e-17
    assert mean_test(np.array([0.3 - 0.2, 0.9 - 0.8, 0.1])) is None
    assert mean_interval(np.full(3, 0.1)) == (pytest.approx(0.1),) * 2
    assert mean_test(np.zeros(5)) == 1.0


def test_the_interval_of_paired_rates_by_hand() -> None:
    """Of 98 pairs 7 fell and 2 rose: (3 - 8) / 100 ± 1.96 sqrt((.11 - .05²) / 100)."""
    reach = 1.959964 * math.sqrt((0.11 - 0.0025) / 100)
    assert difference_of_paired_rates(7, 2, 98) == pytest.approx((-0.05 - reach, -0.05 + reach), rel=1e-6)


def test_the_interval_of_paired_rates_has_a_width_where_nothing_flipped() -> None:
    lower, upper = difference_of_paired_rates(0, 0, 50)
    assert -0.06 < lower < 0 < upper < 0.06


def test_the_interval_of_paired_rates_covers_the_true_difference() -> None:
    """Of 3,000 draws of 60 pairs with dependent outcomes, at least 94 in 100 hold the truth, and not all."""
    rng = np.random.default_rng(1)
    chances = [0.10, 0.04, 0.86]  # fell, rose, stayed
    held = 0
    for fell, rose, _ in rng.multinomial(60, chances, size=3000):
        lower, upper = difference_of_paired_rates(int(fell), int(rose), 60)
        held += lower <= -0.06 <= upper
    assert 0.94 <= held / 3000 <= 0.985
