"""Audits of stored answers: each access that they allow, what is missing, and the same result as from the models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anchorlab import AnchorlabError, audit_answers
from anchorlab.consistency.summary import measure
from anchorlab.statistics.arrays import Floats

DRAW = np.random.default_rng(0)
REFERENCE = DRAW.normal(size=(200, 3)) * 3
UPDATES = [REFERENCE + DRAW.normal(size=(200, 3)) * 0.1 for _ in range(39)]
FAR, NEAR = REFERENCE + DRAW.normal(size=(200, 3)), REFERENCE + DRAW.normal(size=(200, 3)) * 0.001


def shares(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("candidate", "value"), [(FAR, "unusual: more"), (NEAR, "unusual: less")])
def test_logits_allow_every_access(candidate, value):
    found = audit_answers(REFERENCE, candidate, UPDATES)
    assert (found.verdict.value, found.verdict.access, found.verdict.p) == (value, "logits", 0.05)
    assert [one.access for one in found.accesses] == ["labels", "probabilities", "logits"]
    assert found.answers.queries is None
    assert found.answers.classes == ("0", "1", "2")


def test_a_gate_may_ask_for_each_p_and_for_each_statistic_with_its_interval():
    """By the names that a comparison of the two gives them."""
    found = audit_answers(REFERENCE, FAR, UPDATES)
    values, ends = found.values(), found.intervals()
    known = measure(REFERENCE, FAR, REFERENCE.argmax(axis=1))
    for name in ("churn", "kl", "logit_distance_centred"):
        assert values[name] == pytest.approx(getattr(known, name))
        assert ends[name][0] < values[name] < ends[name][1]
    assert set(ends) == {"churn", "kl", "logit_distance_centred"}
    assert (values["unusual"], values["p"], values["p_joint"]) == (1, 0.05, found.joint.p)
    assert {values[f"p_{access}"] for access in ("labels", "probabilities", "logits")} == {0.05}


def test_a_class_that_is_never_answered_has_a_name_too():
    rare = [np.c_[logits, np.full(200, -50.0)] for logits in (REFERENCE, FAR, *UPDATES)]
    assert audit_answers(rare[0], rare[1], rare[2:]).answers.classes == ("0", "1", "2", "3")


def test_probabilities_allow_the_divergence_and_it_is_the_same():
    found = audit_answers(shares(REFERENCE), shares(FAR), [shares(update) for update in UPDATES])
    assert [one.access for one in found.accesses] == ["labels", "probabilities"]
    assert found.verdict.access == "probabilities"
    whole = audit_answers(REFERENCE, FAR, UPDATES)
    assert found.access("probabilities").value == pytest.approx(whole.access("probabilities").value)


def test_labels_allow_churn_alone():
    labels = [logits.argmax(axis=1) for logits in (REFERENCE, FAR, *UPDATES)]
    found = audit_answers(labels[0], labels[1], labels[2:], labels=labels[0])
    assert [one.access for one in found.accesses] == ["labels"]
    assert found.verdict.value == "unusual: more"
    assert found.answers.reference is None
    assert found.values()["churn"] == (labels[0] != labels[1]).mean()
    with pytest.raises(AnchorlabError, match="unknown access 'logits'"):
        audit_answers(labels[0], labels[1], labels[2:], access="logits")


@pytest.mark.parametrize("kind", [lambda logits: logits, shares])
def test_copies_are_no_updates(kind: Callable[[Floats], Floats]) -> None:
    """The audit of models refuses them by their weights."""
    reference, far, *updates = map(kind, (REFERENCE, FAR, *UPDATES))
    for copied, of in ((updates[0], "benign update 1"), (reference, "the reference"), (far, "the candidate")):
        with pytest.raises(AnchorlabError, match=f"benign update 5 holds the same .* as {of}, and a copy is no"):
            audit_answers(reference, far, [*updates[:4], copied.copy(), *updates[4:]])
    assert audit_answers(reference, reference, updates).verdict.value == "unusual: less"


def test_answers_that_may_be_equal_by_chance_are_no_copies() -> None:
    """Labels, and probabilities of models that are sure of everything."""
    labels = REFERENCE.argmax(axis=1)
    audit_answers(labels, labels, [labels] * 39)
    sure = np.eye(3)[labels]
    audit_answers(sure, sure, [sure] * 39)


def test_the_poorest_answers_decide_the_access():
    found = audit_answers(REFERENCE, shares(FAR), UPDATES)
    assert found.verdict.access == "probabilities"


def test_without_updates_the_refusal_says_how_to_get_them():
    with pytest.raises(AnchorlabError, match="the answers of at least 39 updates to the same queries with --b"):
        audit_answers(REFERENCE, FAR, [])
    with pytest.raises(AnchorlabError, match="needs 39: give 39 or more"):
        audit_answers(REFERENCE, FAR, UPDATES[:5])


def test_answers_to_other_queries_or_of_other_classes_are_refused_with_both_names():
    with pytest.raises(AnchorlabError, match="the reference answers 200 queries, but the candidate 100"):
        audit_answers(REFERENCE, FAR[:100], UPDATES)
    with pytest.raises(AnchorlabError, match="the reference has 3 classes, but the candidate 2"):
        audit_answers(REFERENCE, FAR[:, :2], UPDATES)
    with pytest.raises(AnchorlabError, match="one of the reference and the candidate names its classes"):
        audit_answers(np.array([0, 1]), np.array(["a", "b"]), [np.array([0, 1])] * 39)
    with pytest.raises(AnchorlabError, match="there are 3 true labels, but answers to 200 queries"):
        audit_answers(REFERENCE, FAR, UPDATES, labels=np.array([0, 1, 2]))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array(["a"] * 200), "the true labels names its classes"),
        (np.full(200, 3), "the true labels hold 3, but the answers have 3 classes"),
    ],
)
def test_true_labels_of_other_classes_are_refused(labels, message):
    with pytest.raises(AnchorlabError, match=message):
        audit_answers(REFERENCE, FAR, UPDATES, labels=labels)


def test_a_level_that_no_number_of_updates_reaches_is_refused():
    with pytest.raises(AnchorlabError, match=r"more than 10,000 benign updates: give 0\.0002 or more"):
        audit_answers(REFERENCE, FAR, UPDATES, level=1e-300)


def _csv_file(place: Path, names: list[str], logits: Floats) -> Path:
    place.write_text("\n".join([",".join(names), *(",".join(map(repr, row)) for row in logits.tolist())]))
    return place


def test_columns_are_matched_by_their_names(tmp_path: Path) -> None:
    """Another program may write the classes in another order."""
    reference = _csv_file(tmp_path / "a.csv", ["cat", "dog", "bird"], REFERENCE)
    turned = _csv_file(tmp_path / "b.csv", ["bird", "cat", "dog"], FAR[:, [2, 0, 1]])
    found, same = (audit_answers(reference, one, UPDATES) for one in (turned, FAR))
    assert found.values() == same.values()
    other = _csv_file(tmp_path / "c.csv", ["cat", "dog", "fish"], FAR)
    with pytest.raises(AnchorlabError, match=r"a.csv names the classes 'bird', but .*c.csv 'fish': name the columns"):
        audit_answers(reference, other, UPDATES)


@pytest.mark.parametrize("spelled", ["CAT", " cat "])
def test_labels_that_differ_only_by_case_or_spaces_are_refused(spelled: str) -> None:
    one, other = np.array(["cat", "dog"] * 20), np.array([spelled, "dog"] * 20)
    with pytest.raises(AnchorlabError, match=f"'cat', and .*'{spelled}', which differ only by case or spaces"):
        audit_answers(one, other, [one] * 39)
    with pytest.raises(AnchorlabError, match="'cat', and the file of true labels"):
        audit_answers(one, one, [one] * 39, labels=other)


def test_labels_that_one_file_tells_apart_by_case_are_classes_of_their_own() -> None:
    one, other = np.array(["a", "A", "b", "b"] * 10), np.array(["a", "a", "b", "b"] * 10)
    assert audit_answers(one, other, [one] * 39).values()["churn"] == pytest.approx(0.25)
