"""The draws of every bootstrap."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anchorlab.statistics.resampling import Resamples, drawn_counts, resampled_means


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


def test_as_many_are_drawn_as_there_are() -> None:
    counts = drawn_counts(np.random.default_rng(0), 50, 7)
    assert counts.shape == (50, 7)
    assert set(counts.sum(axis=1)) == {7}
    assert abs(counts.mean() - 1) < 1e-12


def test_means_in_pieces_are_those_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.random.default_rng(0).normal(size=(20, 2))
    whole = resampled_means(np.random.default_rng(1), columns, 5, 30)
    monkeypatch.setattr("anchorlab.statistics.resampling._PIECE", 100)
    np.testing.assert_allclose(resampled_means(np.random.default_rng(1), columns, 5, 30), whole, rtol=1e-12)


def test_a_replicate_of_fewer_draws_is_a_mean_of_so_many() -> None:
    """Five draws from twenty rows of zeros and ones are multiples of a fifth, and vary four times as much as twenty."""
    ones = np.repeat([0.0, 1.0], 10)[:, None]
    few, all_of_them = (resampled_means(np.random.default_rng(0), ones, draws, 4000) for draws in (5, 20))
    np.testing.assert_allclose(5 * few, np.round(5 * few), atol=1e-12)
    assert few.mean() == pytest.approx(0.5, abs=0.02)
    assert few.var() / all_of_them.var() == pytest.approx(4, rel=0.15)
