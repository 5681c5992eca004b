"""Measurements at a common ASR: exact at both ends, monotone between them, never outside; by hand on two points."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.metrics import METRICS
from anchorlab.suites.equal import RUN, at_common_asr, between, bracket, equal_frame, share_between

POSITIVE = st.floats(1e-6, 1e3)
SHARES = st.floats(0, 1)
NAMES = st.sampled_from(["kl", "accuracy", "total_variation", "residual"])


def scales(*rows: tuple[float, float, float, float], asr: float = 0.9, reported: float = 1.0) -> pd.DataFrame:
    """Of one run: scale, ASR of 999 attacked instances, KL and accuracy."""
    run: dict[str, Any] = dict.fromkeys(RUN, "x") | {"common_asr": asr}
    return pd.DataFrame(
        [
            {**run, "scale": scale, "reported": scale == reported, "asr": rate, "asr_count": 999}
            | {"kl": kl, "accuracy": accuracy}
            for scale, rate, kl, accuracy in rows
        ]
    )


def records(run: pd.DataFrame) -> list[dict[Any, Any]]:
    return run.to_dict("records")


def test_by_hand_between_two_scales() -> None:
    """(hits + .5) / 1000 is .8 and .95, with the logits ln 4 and ln 19; .9 has the logit ln 9."""
    (found,) = equal_frame(scales((0.8, 799.5 / 999, 0.1, 0.90), (1.0, 949.5 / 999, 0.4, 0.80))).to_dict("records")
    share = math.log(9 / 4) / math.log(19 / 4)
    assert (found["scale_below"], found["scale_above"]) == (0.8, 1.0)
    assert (found["reported_scale"], found["reported_asr"]) == (1.0, 949.5 / 999)
    assert found["kl"] == pytest.approx(0.1 * 4**share)
    assert found["accuracy"] == pytest.approx(0.9 - 0.1 * share)


def test_nothing_is_extrapolated() -> None:
    (found,) = equal_frame(scales((1.0, 0.95, 0.1, 0.9), (1.1, 0.96, 0.2, 0.9))).to_dict("records")
    assert math.isnan(found["kl"])
    assert math.isnan(found["scale_below"])
    assert found["reported_asr"] == 0.95


def test_one_scale_alone_brackets_nothing() -> None:
    assert at_common_asr(records(scales((1.0, 899.5 / 999, 0.1, 0.9))), ["kl"]) == {}


def test_of_several_pairs_the_one_nearest_the_reported_scale_counts() -> None:
    front = scales((0.7, 0.8, 1, 1), (0.8, 0.95, 2, 1), (0.9, 0.95, 3, 1), (1.0, 0.85, 4, 1), (1.5, 0.97, 5, 1))
    found = at_common_asr(records(front), ["kl"])
    assert (found["scale_below"], found["scale_above"]) == (1.0, 0.9)


def test_without_attacked_instances_or_a_value_nothing_is_claimed() -> None:
    nothing = scales((0.9, 0.8, 0.1, 0.9), (1.0, 0.95, 0.2, 0.9)).assign(asr_count=0, asr=None)
    assert at_common_asr(records(nothing), ["kl"]) == {}
    lacking = scales((0.9, 0.8, math.nan, 0.9), (1.0, 0.95, 0.2, 0.9))
    found = at_common_asr(records(lacking), ["kl", "accuracy"])
    assert math.isnan(found["kl"])
    assert found["accuracy"] == pytest.approx(0.9)


def test_a_zero_has_no_logarithm_and_is_interpolated_as_it_is() -> None:
    assert between({"kl": 0.0}, {"kl": 0.2}, "kl", 0.5) == pytest.approx(0.1)


def test_each_run_has_a_row_and_a_suite_without_scales_none() -> None:
    one = scales((0.8, 0.8, 0.1, 0.9), (1.0, 0.95, 0.4, 0.8))
    both = equal_frame(pd.concat([one, one.assign(seed="y")]))
    assert len(both) == 2
    assert "asr" not in both
    assert list(equal_frame(pd.DataFrame()).columns[: len(RUN)]) == list(RUN)


@given(POSITIVE, POSITIVE, NAMES)
def test_the_ends_are_exact(a: float, b: float, name: str) -> None:
    assert between({name: a}, {name: b}, name, 0.0) == a
    assert between({name: a}, {name: b}, name, 1.0) == b


@given(POSITIVE, POSITIVE, NAMES, SHARES, SHARES)
def test_it_is_monotone_and_never_outside(a: float, b: float, name: str, one: float, other: float) -> None:
    first, second = (between({name: a}, {name: b}, name, share) for share in sorted((one, other)))
    assert min(a, b) <= first <= max(a, b)
    slack = 1e-12 * max(a, b)
    assert (second - first) * (1 if b >= a else -1) >= -slack


@given(st.floats(-20, 20), st.floats(-20, 20), SHARES)
def test_the_share_is_that_of_the_logit(low: float, high: float, share: float) -> None:
    target = low + share * (high - low)
    found = share_between(low, high, target)
    assert 0 <= found <= 1
    assert low + found * (high - low) == pytest.approx(target, abs=1e-9)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8), st.floats(-5, 5))
def test_a_bracket_holds_the_target_and_none_is_missed(logits: list[float], target: float) -> None:
    steps = [0.5 + 0.1 * index for index in range(len(logits))]
    found = bracket(steps, logits, target, steps[0])
    holding = [i for i in range(len(logits) - 1) if min(logits[i : i + 2]) <= target <= max(logits[i : i + 2])]
    assert found == (holding[0] if holding else None)


@given(st.integers(1, 998), st.integers(1, 998), POSITIVE, POSITIVE, st.floats(0.01, 0.99))
def test_a_run_at_the_common_asr_lies_between_its_two_scales(
    a: int, b: int, kl_a: float, kl_b: float, asr: float
) -> None:
    run = scales((0.9, a / 999, kl_a, 0.9), (1.0, b / 999, kl_b, 0.8), asr=asr)
    found = at_common_asr(records(run), ["kl", "accuracy"])
    if found:
        assert min(kl_a, kl_b) <= found["kl"] <= max(kl_a, kl_b)
        assert 0.8 <= found["accuracy"] <= 0.9
    else:
        assert not min(a, b) + 0.5 <= asr * 1000 <= max(a, b) + 0.5


def test_every_measurement_of_the_candidate_is_compared_but_asr_itself() -> None:
    row = dict.fromkeys(METRICS, 0.5)
    front = pd.DataFrame([{**dict.fromkeys(RUN, "x"), **row, "common_asr": 0.5, "asr_count": 10, "scale": 1.0}])
    columns = set(equal_frame(front.assign(reported=True)).columns)
    assert {"kl", "churn", "accuracy", "top_5_accuracy", "ece"} <= columns
    assert not {"asr", "asr_plus_accuracy", "asr_count", "accuracy_reference"} & columns
