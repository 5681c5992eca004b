"""Churn by class and the queries on which answers differ, against counts by hand."""

from __future__ import annotations

import numpy as np
import torch

from anchorlab.reports.audit.answers import agreement_of, changed_queries, thumbnail
from anchorlab.scoring.audit_result import AuditedAnswers
from tests.reports.audit.conftest import made_answers

BEFORE, AFTER, TRUTH = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 2, 2]), np.array([0, 0, 1, 2, 2])


def answers(**changes: object) -> AuditedAnswers:
    known = {"labels": TRUTH, "reference": None, "candidate": None, "classes": ("a", "b", "c")}
    return AuditedAnswers(BEFORE, AFTER, **(known | changes))  # type: ignore[arg-type]


def test_churn_is_counted_by_true_class() -> None:
    agreement = agreement_of(answers())
    assert (agreement.changed, agreement.right_reference, agreement.right_candidate) == (2, 4, 4)
    counts = {one.name: (one.queries, one.changed, one.right_to_wrong, one.wrong_to_right) for one in agreement.classes}
    assert counts == {"a": (2, 1, 1, 0), "b": (1, 0, 0, 0), "c": (2, 1, 0, 1)}


def test_without_true_labels_classes_are_the_references() -> None:
    agreement = agreement_of(answers(labels=None))
    assert agreement.by == "reference's label"
    assert agreement.right_reference is None
    assert {one.name: one.changed for one in agreement.classes} == {"a": 1, "b": 1, "c": 0}


def test_of_labels_alone_the_changed_ones_are_shown() -> None:
    shown = changed_queries(answers())
    assert [(query.row, query.reference, query.candidate, query.label) for query in shown] == [
        (1, "a", "b", "a"), (3, "b", "c", "c")
    ]  # fmt: skip
    assert shown[0].probabilities == []
    assert shown[0].moved is None


def test_rows_are_named_by_their_place_in_the_split() -> None:
    shown = changed_queries(answers(rows=np.array([9, 8, 7, 6, 5])))
    assert [query.row for query in shown] == [8, 6]


def test_the_largest_difference_comes_first_with_both_probabilities() -> None:
    made, _ = made_answers(0.5)
    shown = changed_queries(made)
    moved = [query.moved for query in shown]
    assert moved == sorted(moved, reverse=True)
    first = shown[0]
    assert first.moved == np.abs(made.reference - made.candidate).sum(1).max() / 2
    assert {one.name for one in first.probabilities} == set(made.classes)
    assert first.probabilities[0].reference == made.reference[first.row].max()
    changed = made.reference_predictions != made.candidate_predictions
    assert set(np.flatnonzero(changed)) <= {query.row for query in shown}


def test_answers_that_are_alike_show_nothing() -> None:
    made, _ = made_answers(0.0)
    assert changed_queries(made) == []


def test_a_large_picture_is_made_smaller() -> None:
    large = torch.full((3, 320, 200), 7, dtype=torch.uint8)
    assert thumbnail(large).shape == (3, 160, 100)
    assert thumbnail(large).unique().tolist() == [7]
    small = torch.zeros(1, 28, 28, dtype=torch.uint8)
    assert thumbnail(small) is small
