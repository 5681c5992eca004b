"""Ranks of a candidate among benign updates, and p-values of them: by hand, by brute force and by simulation."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from anchorlab.scoring.audit_ranks import (
    extreme_ranks,
    joint_p,
    least_p,
    lower_p,
    rejected_ranks,
    two_sided_p,
    updates_needed,
    upper_p,
)


def test_the_p_values_are_ranks_by_hand():
    assert [upper_p(value, [1, 2, 3]) for value in (5, 2, 0)] == [0.25, 0.75, 1]
    assert [lower_p(value, [1, 2, 3]) for value in (5, 2, 0)] == [1, 0.75, 0.25]
    assert [two_sided_p(value, [1, 2, 3]) for value in (5, 2, 0)] == [0.5, 1, 0.5]


def test_ties_count_against_the_candidate_on_both_sides():
    assert (upper_p(3, [1, 3, 3]), lower_p(1, [1, 1, 3]), two_sided_p(2, [2, 2, 2])) == (0.75, 0.75, 1)


def test_the_p_values_are_scipys_ranks_among_all_models():
    values = np.random.default_rng(0).integers(0, 6, size=(50, 10)).astype(float)
    for row in values:
        assert upper_p(row[0], row[1:]) == stats.rankdata(-row, method="max")[0] / 10
        assert lower_p(row[0], row[1:]) == stats.rankdata(row, method="max")[0] / 10


def test_the_two_sided_p_is_uniform_where_the_candidate_is_one_of_them():
    """4,000 audits with 9 updates: p is one of five values, each as likely as the others."""
    values = np.random.default_rng(0).normal(size=(4000, 10))
    found = [round(5 * two_sided_p(row[0], row[1:])) for row in values]
    assert stats.chisquare(np.bincount(found, minlength=6)[1:]).pvalue > 0.01


small_tables = st.integers(2, 6).flatmap(
    lambda models: st.integers(1, 3).flatmap(
        lambda accesses: arrays(np.float64, (models, accesses), elements=st.integers(0, 4).map(float))
    )
)


@given(small_tables)
def test_each_p_is_super_uniform_over_which_model_is_the_candidate(values):
    """The exact level, ties and all: of n + 1 exchangeable models, at most a share p has a p-value of at most p."""
    count = len(values)
    by_model = [np.roll(values, -place, axis=0) for place in range(count)]
    for found in (
        [joint_p(table) for table in by_model],
        [two_sided_p(table[0, 0], table[1:, 0]) for table in by_model],
        [upper_p(table[0, 0], table[1:, 0]) for table in by_model],
    ):
        for p in found:
            assert sum(other <= p + 1e-12 for other in found) <= p * count + 1e-9


@given(small_tables)
def test_the_order_of_the_updates_does_not_matter(values):
    wanted = joint_p(values)
    for order in list(permutations(range(1, len(values))))[:6]:
        assert joint_p(values[[0, *order]]) == pytest.approx(wanted)


def test_the_joint_p_is_uniform_over_accesses_that_depend_on_each_other():
    """2,000 audits with 19 updates: without ties it takes each of twenty values equally often."""
    draw = np.random.default_rng(1)
    shared = draw.normal(size=(2000, 20, 1))
    values = np.exp(shared + 0.5 * draw.normal(size=(2000, 20, 3)))
    found = [round(20 * joint_p(table)) for table in values]
    assert stats.chisquare(np.bincount(found, minlength=21)[1:]).pvalue > 0.01


def test_nineteen_updates_are_enough_for_the_joint_test_whichever_side_the_candidate_lies_on():
    draw = np.random.default_rng(2)
    null = draw.uniform(1, 2, size=(19, 3))
    for outlier in ([1.5, 1.5, 0.01], [1.5, 9.0, 1.5], [9.0, 9.0, 0.01]):
        assert joint_p(np.vstack([outlier, null])) == 0.05
    assert joint_p(np.vstack([[1.5, 1.5, 1.5], null])) > 0.5


def test_models_that_are_all_alike_are_not_unusual():
    assert joint_p(np.zeros((5, 3))) == 1


def test_extreme_ranks_by_hand():
    values = np.array([[1.0, 4.0], [2.0, 4.0], [3.0, 1.0]])
    assert extreme_ranks(values).tolist() == [[1, 2], [2, 2], [1, 1]]


@pytest.mark.parametrize(("level", "needed"), [(0.05, 39), (0.1, 19), (0.01, 199), (0.5, 3), (0.3, 6), (0.999, 2)])
def test_the_updates_needed_are_the_fewest_that_allow_the_level(level, needed):
    assert updates_needed(level) == needed
    assert least_p(needed) <= level + 1e-12
    assert rejected_ranks(needed, level) == 1
    assert least_p(needed - 1) > level
    assert rejected_ranks(needed - 1, level) == 0


def test_the_joint_test_needs_half_of_them():
    assert (updates_needed(0.05, sides=1), least_p(19, sides=1)) == (19, 0.05)
    assert (updates_needed(0.5, sides=1), least_p(1, sides=1)) == (1, 0.5)


def by_loops(values):
    """The joint p as its docstring says it, a number at a time."""
    standing = []
    for number in range(len(values)):
        places = []
        for column in values.T.tolist():
            finite = [value for value in column if value < np.inf]
            known = [value if value < np.inf else 2 * max(finite) for value in column]
            positive = [value for value in known if value > 0]
            logs = np.log([value if value > 0 else min(positive) / 2 for value in known])
            apart = np.abs(logs - np.median(logs))
            above, below = (sum(other >= column[number] for other in column), sum(o <= column[number] for o in column))
            places.append((min(above, below), -apart[number] / apart.mean()))
        standing.append(min(places))
    return sum(one <= standing[0] for one in standing) / len(values)


def test_the_joint_p_is_that_of_plain_loops():
    """Also where a statistic is 0 or infinite, and for a candidate that is far out by one rule and not by another."""
    draw = np.random.default_rng(4)
    for _ in range(60):
        values = np.exp(2 * draw.normal(size=(8, 2)) ** 3)
        for wrong in (0.0, np.inf):
            if draw.random() < 0.5:
                values[draw.integers(8), draw.integers(2)] = wrong
        assert joint_p(values) == by_loops(values)


@pytest.mark.parametrize(
    ("values", "p"),
    [
        # In powers of 2, with 0 as half of the smallest other one: -1 0 1 1.8, which are 1.5 and 1.3 from their median.
        ([0, 1, 2, 3.5], 0.25),
        ([0, 1, 2, 4.5], 0.5),  # -1 0 1 2.2: 1.5 and 1.7
        # With infinity as twice the largest other one: 3 0.1 1 2, which are 1.5 and 1.4 from their median.
        ([np.inf, 1.1, 2, 4], 0.25),
        ([np.inf, 0.9, 2, 4], 0.5),
    ],
)
def test_0_is_half_of_the_smallest_other_one_and_infinity_twice_the_largest(values, p):
    assert joint_p(np.array(values, dtype=float)[:, None]) == p


def test_a_level_that_is_a_whole_number_of_ranks_is_not_lost_to_rounding():
    assert rejected_ranks(199, 0.29) == 29  # 0.29 of 100 is 28.999999999999996
    assert [updates_needed(2 / models) for models in range(3, 400)] == list(range(2, 399))
    assert [updates_needed(1 / models, sides=1) for models in range(3, 400)] == list(range(2, 399))
