"""The bootstrap over instances and the barrier."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anchorlab.perturbation.intervals import Resamples, barrier, ratio

SCALES = np.array([-0.5, 0.0, 0.25, 0.5, 1.0, 1.5])


def test_the_interval_of_a_mean_is_that_of_normal_theory():
    values = np.random.default_rng(0).normal(3, 2, size=4000)
    found = Resamples(4000, seed=1).estimate(values)
    half = 1.96 * values.std() / math.sqrt(4000)
    assert found.value == pytest.approx(values.mean(), rel=1e-12)
    assert found.lower == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.upper == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_the_same_seed_draws_the_same_whatever_is_measured():
    values = np.random.default_rng(0).random((50, 3))
    one, again = (Resamples(50, seed=7, resamples=200) for _ in range(2))
    assert np.array_equal(one.means(values), again.means(values))
    np.testing.assert_allclose(one.means(values)[:, 1], one.means(values[:, 1:2])[:, 0], rtol=1e-12)
    assert not np.array_equal(one.means(values), Resamples(50, seed=8, resamples=200).means(values))


def test_a_ratio_is_of_means_and_undefined_over_zero():
    means = np.array([[2.0, 4.0], [1.0, 0.0]])
    found = ratio(means)
    assert found[0] == 0.5
    assert np.isnan(found[1])


@pytest.mark.parametrize(
    ("losses", "height"),
    [
        ([9, 1, 1, 1, 1, 9], 0),  # flat between the ends, whatever lies outside
        ([0, 0, 0.25, 0.5, 1, 0], 0),  # on the line
        ([0, 0, 1, 3, 1, 0], 2.5),  # 3 against 0.5 halfway
        ([0, 2, 0, 0, 1, 0], 0),  # below the line everywhere
    ],
)
def test_barriers_by_hand(losses, height):
    assert barrier(SCALES)(np.array([losses], dtype=float))[0] == pytest.approx(height)


@given(arrays(float, (3, 6), elements=st.floats(0, 10)))
def test_a_barrier_is_never_negative_and_at_least_any_rise(losses):
    found = barrier(SCALES)(losses)
    assert (found >= 0).all()
    for number, scale in enumerate(SCALES):
        if 0 <= scale <= 1:
            rise = losses[:, number] - (1 - scale) * losses[:, 1] - scale * losses[:, 4]
            assert (found >= rise - 1e-12).all()
