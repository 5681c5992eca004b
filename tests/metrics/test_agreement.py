"""Top-5 accuracy: by hand, with ties, and undefined where there are too few classes."""

from __future__ import annotations

import numpy as np
import pytest

from anchorlab.consistency.instances import instances, read_instances, write_instances
from anchorlab.consistency.intervals import intervals
from anchorlab.consistency.summary import measure, summarise
from anchorlab.statistics.intervals import wilson


def test_top_5_accuracy_counts_the_true_class_among_five(tmp_path) -> None:
    falling = np.tile(np.arange(7, 0, -1.0), (7, 1))  # class c has rank c
    found = measure(falling[:, ::-1], falling, labels=np.arange(7))
    assert (found.top_5_accuracy, found.top_5_accuracy_reference) == (5 / 7, 5 / 7)
    assert found.accuracy == 1 / 7

    frame = instances(falling[:, ::-1], falling, np.arange(7))
    assert frame["top_5_accuracy"].tolist() == [1, 1, 1, 1, 1, 0, 0]
    assert frame["top_5_accuracy_reference"].tolist() == [0, 0, 1, 1, 1, 1, 1]
    assert intervals(frame)["top_5_accuracy"] == wilson(5, 7)
    write_instances(tmp_path / "table.parquet", frame)
    assert summarise(read_instances(tmp_path / "table.parquet")).top_5_accuracy == 5 / 7


def test_of_equal_logits_the_lower_classes_are_the_five() -> None:
    assert measure(np.zeros((6, 6)), np.zeros((6, 6)), labels=np.arange(6)).top_5_accuracy == 5 / 6


@pytest.mark.parametrize("classes", [2, 5])
def test_fewer_than_six_classes_have_no_top_5_accuracy(classes: int) -> None:
    found = measure(np.eye(classes), np.eye(classes), labels=np.arange(classes))
    assert found.top_5_accuracy is None
    assert found.top_5_accuracy_reference is None
    assert "six" in found.undefined["top_5_accuracy"] or "6" in found.undefined["top_5_accuracy"]


def test_the_rank_agrees_with_sorting() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.integers(0, 4, (200, 8)).astype(np.float32), rng.integers(0, 8, 200)
    order = np.argsort(-logits, axis=1, kind="stable")[:, :5]
    assert measure(logits, logits, labels).top_5_accuracy == (order == labels[:, None]).any(axis=1).mean()


@pytest.mark.parametrize(("classes", "k"), [(2, 1), (4, 3), (6, 5), (9, 5)])
def test_top_k_agreement_is_over_five_classes_or_all_but_one(classes: int, k: int) -> None:
    """The candidate's order is the reference's with the last of the k exchanged for the one after it."""
    reference = np.arange(classes, 0, -1.0)
    candidate = reference.copy()
    candidate[[k - 1, k]] = candidate[[k, k - 1]]
    found = measure(reference[None], candidate[None], labels=[0])
    assert found.top_k_agreement == pytest.approx((k - 1) / k)
