"""The sign-flip test and Holm's correction, by hand and against all flips."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test

from anchorlab.seeding import derive
from anchorlab.statistics.tests import holm, sign_flips


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=7))
def test_the_sign_flip_test_is_that_of_all_flips(values: list[int]) -> None:
    each = np.array(values, dtype=float)
    flips = np.array([(each * signs).mean() for signs in itertools.product([1, -1], repeat=len(each))])
    by_hand = (np.abs(flips) >= abs(each.mean()) - 1e-12).mean()
    assert sign_flips([each], seed=0) == [pytest.approx(by_hand)]


def test_small_cases_by_hand() -> None:
    assert sign_flips([np.array([1.0])], seed=0) == [1.0]
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]


def test_several_measurements_at_once_have_the_p_values_of_each_by_itself() -> None:
    several = np.random.default_rng(0).normal(size=(3, 8))
    assert sign_flips(list(several), seed=1) == [sign_flips([one], seed=1)[0] for one in several]
    assert sign_flips([], seed=1) == []


@pytest.mark.parametrize("runs", [2, 9, 15, 24])
def test_the_p_values_are_those_of_scipy_ties_and_random_flips_included(runs: int) -> None:
    rng = np.random.default_rng(runs)
    several = [rng.normal(0.3, 1, runs), rng.integers(-3, 5, runs) / 7, np.zeros(runs)]
    scipys = permutation_test(
        (np.stack(several),),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        axis=1,
        n_resamples=2**14 - (runs > 14),
        rng=np.random.default_rng(derive(3, "sign flips")),
    )
    assert sign_flips(several, seed=3) == scipys.pvalue.tolist()
