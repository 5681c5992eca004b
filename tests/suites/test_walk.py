"""A reported run walks along the grid towards the common ASR, and no further than it must."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.errors import AnchorlabError
from anchorlab.notices import Notice
from anchorlab.suites.cells import Walk
from anchorlab.suites.walk import FACTORS, logit, logit_rate, walked

WALK = Walk(asr=0.95, factors=FACTORS)


def row(scale: float, asr: float, count: int = 1000) -> dict[str, Any]:
    return {"scale": scale, "asr": asr, "asr_count": count}


def walk(rates: dict[float, float], start: float = 1.0) -> list[float]:
    """The scales that are measured after the first one, of a run with these rates."""
    return [found["scale"] for found in walked(WALK, row(start, rates[start]), lambda scale: row(scale, rates[scale]))]


def test_it_goes_down_from_above_the_common_asr_until_it_is_below() -> None:
    assert walk({1: 0.99, 0.9: 0.96, 0.8: 0.94}) == [0.9, 0.8]


def test_it_goes_up_from_below_until_it_is_reached() -> None:
    assert walk({1: 0.9, 1.1: 0.94, 1.25: 0.951}) == [1.1, 1.25]


@pytest.mark.parametrize(("asr", "last"), [(1.0, FACTORS[0]), (0.5, FACTORS[-1])])
def test_it_ends_with_the_grid(asr: float, last: float) -> None:
    assert walk(dict.fromkeys(FACTORS, asr))[-1] == last


def test_the_grid_is_of_factors_of_the_reported_scale() -> None:
    assert walk({0.8: 0.9, 0.88: 0.97}, start=0.8) == [0.88]


def test_without_attacked_instances_there_is_no_way_to_go() -> None:
    assert list(walked(WALK, {"scale": 1.0, "asr": None, "asr_count": 0}, lambda scale: row(scale, 1.0))) == []


def test_logits_that_overflow_end_it_and_leave_what_was_measured() -> None:
    def measure(scale: float) -> dict[str, Any]:
        if scale > 1.2:
            raise AnchorlabError("the logits are not finite")
        return row(scale, 0.9)

    with pytest.warns(Notice, match=r"ends before 1.25: the logits are not finite"):
        assert [found["scale"] for found in walked(WALK, row(1, 0.9), measure)] == [1.1]


@given(st.integers(1, 10_000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_the_logit_of_a_rate_is_finite_and_that_of_the_shrunk_rate(hits: tuple[int, int]) -> None:
    made, count = hits
    assert logit_rate(made / count, count) == pytest.approx(logit((made + 0.5) / (count + 1)), abs=1e-6)
    assert math.isfinite(logit_rate(made / count, count))
