"""A certified prediction never differs, and the share is what the definition says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.consistency.summary import measure
from anchorlab.metrics import Pair
from anchorlab.metrics.certified import certified

SIZES = st.sampled_from([1e-6, 1e-2, 1.0, 30.0, 1e4])


def models(classes: int, shift: float, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits of two models, some of them tied."""
    draw = np.random.default_rng(seed)
    before = np.round(spread * draw.normal(size=(40, classes)), seed % 3)
    return before, before + shift * draw.normal(size=(40, classes))


@given(st.integers(2, 300), SIZES, SIZES, st.integers(0, 10_000))
def test_a_certified_prediction_does_not_differ(classes: int, shift: float, spread: float, seed: int) -> None:
    before, after = models(classes, shift, spread, seed)
    same = before.argmax(axis=1) == after.argmax(axis=1)
    assert same[certified(Pair(before, after))].all()


@given(st.integers(2, 12), SIZES, SIZES, st.integers(0, 10_000))
def test_it_is_margin_against_range(classes: int, shift: float, spread: float, seed: int) -> None:
    before, after = models(classes, shift, spread, seed)
    ordered, moved = np.sort(before, axis=1), after - before
    room = ordered[:, -1] - ordered[:, -2] - (moved.max(axis=1) - moved.min(axis=1))
    clear = np.abs(room) > 1e-6 * (1 + np.abs(before).max())
    assert np.array_equal(certified(Pair(before, after))[clear], (room > 0)[clear])


def test_by_hand() -> None:
    """Margins 1, 1, 4, 0; ranges 2, 0.5, 2, 0: the second and the third are certified."""
    before = [[1.0, 0.0], [1.0, 0.0], [4.0, 0.0], [3.0, 3.0]]
    after = [[0.0, 1.0], [0.75, 0.25], [3.0, 1.0], [3.0, 3.0]]
    found = measure(before, after, [0, 0, 0, 0])
    assert certified(Pair(before, after)).tolist() == [False, True, True, False]
    assert found.certified == 0.5
    assert found.churn == pytest.approx(0.25)


def test_a_shift_common_to_all_classes_changes_nothing() -> None:
    before = np.random.default_rng(0).normal(size=(50, 7))
    after = before + np.arange(50)[:, None] * 100.0
    assert certified(Pair(before, after)).all()


@pytest.mark.parametrize("gap", [0.0, 1e-12])
def test_a_margin_that_the_range_reaches_certifies_nothing(gap: float) -> None:
    """Two classes tie in the candidate, or would with an error of rounding."""
    assert not certified(Pair([[1.0, 0.0]], [[0.5 + gap, 0.5]])).any()
