"""L2: the squared distance of the weights."""

from __future__ import annotations

import pytest

from anchorlab.methods.l2 import L2
from tests.injecting import moved, problem


def test_l2_is_the_squared_distance(linear, digits):
    method = L2(strength=0.3)
    state = method.prepare(problem(linear, digits.anchors(8, seed=0)))
    other, change = moved(linear)
    assert method.weight == 0.3
    assert method.penalty(linear, None, None, state).item() == 0
    assert method.penalty(other, None, None, state).item() == pytest.approx((change**2).sum(), rel=1e-5)
