"""Statistics of language models: shares end at 0 and 1."""

from __future__ import annotations

import pytest

from anchorlab.scoring.token_statistics import _shared
from anchorlab.statistics.estimate import Estimate


@pytest.mark.parametrize(
    ("ends", "cut"), [((-0.1, 0.4), (0.0, 0.4)), ((0.2, 1.3), (0.2, 1.0)), ((0.2, 0.3), (0.2, 0.3))]
)
def test_the_interval_of_a_share_is_cut_to_its_range(ends: tuple[float, float], cut: tuple[float, float]) -> None:
    found = _shared(Estimate(0.25, *ends, units=7))
    assert (found.value, found.bounds, found.units) == (0.25, cut, 7)


@pytest.mark.parametrize(("value", "ends"), [(0.0, (0.0, 1 - 0.025 ** (1 / 40))), (1.0, (0.025 ** (1 / 40), 1.0))])
def test_a_share_that_is_the_same_everywhere_has_an_interval_of_as_many_documents(
    value: float, ends: tuple[float, float]
) -> None:
    assert _shared(Estimate(value, value, value, units=40)).bounds == pytest.approx(ends)


def test_a_share_without_an_interval_has_none() -> None:
    assert _shared(Estimate(0.25, units=1)).bounds is None
