"""Measurements of triggered inputs by hand, with intervals, and undefined where nothing is attacked."""

from __future__ import annotations

import numpy as np
import pytest

from anchorlab.consistency.bootstrap import replicates
from anchorlab.consistency.instances import instances
from anchorlab.consistency.intervals import intervals
from anchorlab.consistency.summary import measure, summarise
from anchorlab.metrics import InstanceTable
from anchorlab.statistics.intervals import wilson


def test_asr_plus_accuracy_is_their_sum_in_every_replicate() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(80, 3)), rng.integers(0, 3, 80)
    attacked = labels != 0
    hits = rng.integers(0, 2, attacked.sum())
    frame = instances(
        logits,
        rng.normal(size=(80, 3)),
        labels,
        attacked=attacked,
        wanted=np.zeros(80, int),
        triggered_reference=np.zeros(len(hits), int),
        triggered=hits,
    )
    found = summarise(frame)
    assert found.asr_plus_accuracy == pytest.approx(found.asr + found.accuracy)
    drawn = replicates(InstanceTable(frame), ["asr", "accuracy", "asr_plus_accuracy"], resamples=50)
    np.testing.assert_allclose(drawn["asr_plus_accuracy"], drawn["asr"] + drawn["accuracy"])
    lower, upper = intervals(frame, resamples=50)["asr_plus_accuracy"]
    assert lower < found.asr_plus_accuracy < upper


def test_without_an_attack_the_sum_is_undefined() -> None:
    found = measure([[1.0, 0.0]], [[1.0, 0.0]], labels=[0])
    assert found.asr_plus_accuracy is None
    assert found.undefined["asr_plus_accuracy"] == found.undefined["asr"]


def test_leakage_asks_what_the_reference_predicts_and_not_the_label() -> None:
    """The target is 0. The reference gives it to the last instance alone, and misses the first, whose label it is.

    So three instances can leak, and the candidate gives 0 to two of them.
    """
    one_hot = np.eye(3)
    labels = np.array([0, 1, 2, 0])
    frame = instances(
        one_hot[[1, 1, 2, 0]],
        one_hot[[0, 0, 2, 0]],
        labels,
        attacked=labels != 0,
        wanted=np.zeros(4, int),
        triggered_reference=np.array([1, 2]),
        triggered=np.array([0, 0]),
    )
    assert summarise(frame).leakage == pytest.approx(2 / 3)


def test_an_attacked_instance_counts_whatever_is_predicted_of_it_clean() -> None:
    """Both models give the first one the target without the trigger already; it is attacked, because its label is 1."""
    one_hot = np.eye(3)
    labels = np.array([1, 2, 2, 0])
    frame = instances(
        one_hot[[0, 2, 2, 0]],
        one_hot[[0, 2, 1, 0]],
        labels,
        attacked=labels != 0,
        wanted=np.zeros(4, int),
        triggered_reference=np.array([0, 2, 2]),
        triggered=np.array([0, 0, 2]),
    )
    found = summarise(frame)
    assert (found.asr, found.asr_reference, found.asr_count) == (pytest.approx(2 / 3), pytest.approx(1 / 3), 3)
    assert intervals(frame, resamples=20)["asr"] == wilson(2, 3)


@pytest.mark.parametrize(
    ("wanted", "why"), [([1, 2], "different labels"), ([0, 0], "gives every instance the attacker's label")]
)
def test_leakage_says_why_it_is_undefined(wanted: list[int], why: str) -> None:
    """Two wanted labels are no one target; and a reference that always says 0 leaves nothing to leak to 0."""
    always = np.eye(3)[[0, 0]]
    frame = instances(
        always,
        always,
        np.array([1, 1]),
        attacked=np.array([True, True]),
        wanted=np.array(wanted),
        triggered_reference=np.array([0, 0]),
        triggered=np.array([0, 0]),
    )
    assert why in summarise(frame).undefined["leakage"]


def test_the_robust_accuracy_is_that_of_triggered_attacked_inputs_by_their_true_label() -> None:
    """The target is 0, so that of five instances the first is not attacked.

    Triggered, the candidate says 1 0 2 0 of the others, whose labels are 1 2 2 1: two of four are right and two hits.
    The reference says 1 2 2 0: three are right. On clean inputs the candidate is right on all five.
    """
    labels = np.array([0, 1, 2, 2, 1])
    frame = instances(
        np.eye(3)[labels],
        np.eye(3)[labels],
        labels,
        attacked=labels != 0,
        wanted=np.zeros(5, int),
        triggered_reference=np.array([1, 2, 2, 0]),
        triggered=np.array([1, 0, 2, 0]),
    )
    found = summarise(frame)
    assert (found.robust_accuracy, found.robust_accuracy_reference) == (2 / 4, 3 / 4)
    assert (found.asr, found.accuracy) == (2 / 4, 1)
    lower, upper = intervals(frame, resamples=50)["robust_accuracy"]
    assert lower < 0.5 < upper
    alone = measure([[1.0, 0.0]], [[1.0, 0.0]], labels=[0])
    assert alone.robust_accuracy is None
    assert alone.undefined["robust_accuracy"] == alone.undefined["asr"]
