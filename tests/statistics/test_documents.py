"""The interval of a mean per token equals independent computations, and quantiles have one where documents suffice."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import t

from anchorlab.statistics.documents import ratio_of_sums, shares_at_the_ends


def by_hand(sums, tokens):
    """Exact fractions up to the root, by the formula of Cochran's chapter 6."""
    y, n = [Fraction(float(each)) for each in sums], [Fraction(int(each)) for each in tokens]
    D, r = len(y), sum(y) / sum(n)
    variance = Fraction(D, D - 1) * sum((a - r * b) ** 2 for a, b in zip(y, n, strict=True)) / sum(n) ** 2
    half = t.ppf(0.975, D - 1) * math.sqrt(variance)
    return float(r), float(r) - half, float(r) + half


@pytest.mark.parametrize("documents", [2, 3, 20, 400])
def test_the_interval_is_the_one_of_the_formula(documents):
    rng = np.random.default_rng(documents)
    sums, tokens = rng.lognormal(size=documents), rng.integers(1, 500, documents)
    found = ratio_of_sums(sums, tokens)
    assert (found.value, found.lower, found.upper) == pytest.approx(by_hand(sums, tokens), rel=1e-12)
    assert found.units == documents


def test_it_is_close_to_the_jackknife():
    """Leaving out one document at a time is another way to the same variance."""
    rng = np.random.default_rng(1)
    sums, tokens = rng.lognormal(sigma=0.3, size=300), rng.integers(100, 200, 300)
    without = (sums.sum() - sums) / (tokens.sum() - tokens)
    error = math.sqrt(299 / 300 * ((without - without.mean()) ** 2).sum())
    found = ratio_of_sums(sums, tokens)
    assert (found.upper - found.value) / t.ppf(0.975, 299) == pytest.approx(error, rel=0.02)


def test_documents_of_equal_length_give_students_t_of_their_means():
    sums = np.array([1.0, 4.0, 2.5, 3.0])
    found = ratio_of_sums(sums, np.full(4, 10))
    half = t.ppf(0.975, 3) * np.std(sums / 10, ddof=1) / 2
    assert found.bounds == pytest.approx((sums.mean() / 10 - half, sums.mean() / 10 + half))


def test_one_document_has_no_interval_and_none_has_no_value():
    assert ratio_of_sums([3.0], [6]).value == 0.5
    assert ratio_of_sums([3.0], [6]).bounds is None
    assert ratio_of_sums([3.0, 0.0], [6, 0]).units == 1
    assert ratio_of_sums([], []).value is None


def test_the_ends_of_a_quantile_are_those_of_its_share():
    below = np.array([5, 7, 6, 8] * 10)
    found = shares_at_the_ends(below, np.full(40, 10), 0.65)
    assert found == pytest.approx(ratio_of_sums(below, np.full(40, 10)).bounds)


def test_the_ends_lie_about_the_share_of_the_quantile_also_where_many_tokens_tie_with_it() -> None:
    below, tokens = np.array([9, 10, 10, 9] * 10), np.full(40, 10)
    half = ratio_of_sums(below, tokens).upper - 0.95
    assert shares_at_the_ends(below, tokens, 0.5) == pytest.approx((0.5 - half, 0.5 + half))
    assert shares_at_the_ends(below, tokens, 0.999) is None


def test_fewer_than_ten_documents_beyond_a_quantile_give_no_ends():
    tokens = np.full(40, 10)
    nine = np.where(np.arange(40) < 9, 9, 10)
    assert shares_at_the_ends(nine, tokens, 0.5) is None
    assert shares_at_the_ends(10 - nine, tokens, 0.5) is None
    assert shares_at_the_ends(np.where(np.arange(40) < 10, 9, 10), tokens, 0.5) is not None
