"""The sentences of an audit say what was found, with ties and at the level itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anchorlab.scoring.audit_result import UpdateSetting
from anchorlab.scoring.audit_statistics import AccessAudit, Noticeable, audit_values
from anchorlab.scoring.audit_words import sentences_of, verdict_of
from anchorlab.scoring.ranked import joint_audit


def audited(candidate: float, updates: list[float], level: float = 0.5) -> list[AccessAudit]:
    """The audit of labels of which these shares differ."""
    values = [{"labels": np.full(8, share)} for share in updates]
    return audit_values({"labels": np.full(8, candidate)}, values, seed=0, level=level)


def test_a_usual_candidate_has_its_place_among_the_updates_and_ties_are_counted() -> None:
    found = audited(0.5, [0.1, 0.5, 0.5, 0.9])
    verdict = verdict_of(found, joint_audit(found), "labels", 0.5)
    assert not verdict.unusual
    assert verdict.sentence == (
        "Not unusual: the candidate moved more than 1 of the 4 benign updates, as much as 2 and less than 1 (p = 1 "
        "from labels, above the level of 0.5)."
    )
    without = audited(0.4, [0.1, 0.2, 0.3, 0.5, 0.6, 0.7])
    assert "more than 3 of the 6 benign updates and less than 3 (" in (
        verdict_of(without, joint_audit(without), "labels", 0.5).sentence
    )


@pytest.mark.parametrize(("level", "unusual"), [(0.5, True), (0.49, False)])
def test_a_p_at_the_level_is_unusual(level: float, unusual: bool) -> None:
    found = audited(0.9, [0.1, 0.2, 0.3])
    assert verdict_of(found, joint_audit(found), "labels", level).unusual == unusual


def test_the_joint_verdict_names_all_accesses_and_another_one_its_own() -> None:
    found = audited(0.9, [0.1, 0.2, 0.3])
    assert (
        "from all accesses at once, most of all labels" in verdict_of(found, joint_audit(found), "joint", 0.5).sentence
    )
    assert "all accesses" not in verdict_of(found, joint_audit(found), "labels", 0.5).sentence


def test_a_verdict_of_one_access_has_its_p_and_not_the_joint_one() -> None:
    """By labels the candidate ties with all updates; by logits it lies farthest out."""
    still, moved = {"labels": np.zeros(8)}, (0.1, 0.2, 0.3)
    updates = [still | {"logits": np.full(8, shift)} for shift in moved]
    found = audit_values(still | {"logits": np.full(8, 0.9)}, updates, seed=0, level=0.5)
    joint = joint_audit(found)
    assert [verdict_of(found, joint, judged, 0.5).p for judged in ("labels", "logits")] == [1, 0.5]
    assert verdict_of(found, joint, "joint", 0.5).p == joint.p == 0.25
    assert (joint.access, joint.direction) == ("logits", "more")


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "No label differs; with 95%"), (0.25, "25% of the labels differ"), (1.0, "100% of the labels differ")],
)
def test_what_labels_show_is_said(share: float, words: str) -> None:
    found = audited(share, [0.1, 0.2, 0.3])
    joint = joint_audit(found)
    verdict = verdict_of(found, joint, "labels", 0.5)
    assert any(one.startswith(words) for one in sentences_of(verdict, found, joint, [UpdateSetting("given", 3)], 8))


@pytest.mark.parametrize(
    ("above", "below", "words"),
    [
        (0.5, 0.125, "churn 0.5 up or 0.125 down."),
        (0.5, None, "churn 0.5 up."),
        (None, 0.125, "churn 0.125 down."),
        (None, None, "churn no size at all."),
    ],
)
def test_what_would_have_been_noticed_is_said_of_both_sides(above, below, words) -> None:
    found = [replace(one, noticeable=Noticeable(above, below)) for one in audited(0.9, [0.1, 0.2, 0.3])]
    joint = joint_audit(found)
    verdict = verdict_of(found, joint, "labels", 0.5)
    (sentence,) = (
        one for one in sentences_of(verdict, found, joint, [UpdateSetting("given", 3)], 8) if "queries" in one
    )
    assert sentence == (f"With 8 queries and these updates, a difference is noticed with a chance of 95% from {words}")
