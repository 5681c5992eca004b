"""Numbers by their rank, from sorted runs of any length: those of one sort."""

from __future__ import annotations

import numpy as np
import pytest

from anchorlab.tokens import ordered
from anchorlab.tokens.ordered import Ordered


@pytest.mark.parametrize("run", [7, 64, 1000])
@pytest.mark.parametrize("kind", ["spread", "tied", "infinite"])
def test_numbers_of_several_runs_are_those_of_one_sort(run, kind, monkeypatch):
    monkeypatch.setattr(ordered, "RUN", run)
    rng = np.random.default_rng(0)
    values = rng.normal(size=200) * 10.0 ** rng.integers(-300, 300, 200)
    if kind == "tied":
        values = rng.integers(-2, 3, 200).astype(float)
    if kind == "infinite":
        values[:20], values[20:25], values[25] = np.inf, -np.inf, 5e-324
    found = Ordered(np.split(values, [3, 90, 150]))
    assert len(found) == 200
    assert [found[rank] for rank in range(200)] == np.sort(values).tolist()


def test_no_number_at_all_has_no_rank():
    assert len(Ordered([])) == 0
    assert [Ordered([np.array([2]), np.array([], int), np.array([1])])[rank] for rank in (0, 1)] == [1, 2]
