"""The bootstrap over instances and the barrier."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from anchorlab.perturbation.intervals import barrier, ratio

SCALES = np.array([-0.5, 0.0, 0.25, 0.5, 1.0, 1.5])


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
