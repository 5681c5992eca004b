"""The mean absolute difference by hand, and beside numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.statistics.spread import mean_absolute_difference


def test_by_hand() -> None:
    """1/4, 1 and 3/4 apart."""
    assert mean_absolute_difference([0.0, 0.25, 1.0]) == pytest.approx(2 / 3)
    assert mean_absolute_difference([0.5]) is None
    assert mean_absolute_difference([]) is None


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), st.floats(-1, 1))
def test_it_is_that_of_all_pairs_whatever_their_order_and_place(values: list[float], shift: float) -> None:
    found = mean_absolute_difference(values)
    every = np.abs(np.subtract.outer(values, values))
    assert found == pytest.approx(every.sum() / (len(values) * (len(values) - 1)))
    assert mean_absolute_difference([value + shift for value in reversed(values)]) == pytest.approx(found, abs=1e-9)
    assert 0 <= found <= max(values) - min(values) + 1e-12
