"""The audit of a candidate, with benign updates that are given or made."""

from __future__ import annotations

import copy

import pytest
import torch

from anchorlab import AnchorlabError, Tuning, inject
from anchorlab.scoring.audit import audit
from anchorlab.scoring.audit_statistics import (
    ACCESSES,
)
from anchorlab.scoring.benign_updates import benign_updates
from tests.zoo import Linear


@pytest.fixture(scope="module")
def updates(digits, reference, tmp_path_factory):
    folder = tmp_path_factory.mktemp("updates")
    return benign_updates(reference, 3, folder, Tuning(steps=5, batch_size=16)), folder


def test_updates_are_made_once_and_carry_no_backdoor(reference, updates, monkeypatch):
    made_first, folder = updates
    assert [one.manifest.kind for one in made_first] == ["benign"] * 3
    assert len({one.manifest.weights_sha256 for one in made_first}) == 3
    monkeypatch.setattr("anchorlab.scoring.benign_updates.inject", None)
    again = benign_updates(reference, 3, folder, Tuning(steps=5, batch_size=16))
    assert [one.manifest.weights_sha256 for one in again] == [one.manifest.weights_sha256 for one in made_first]


def test_updates_of_another_reference_are_refused(reference, updates):
    manifest = reference.manifest.model_copy(update={"weights_sha256": "0" * 64})
    with pytest.raises(AnchorlabError, match="benign-0 is an update of another reference"):
        benign_updates(type(reference)(reference.model, manifest), 1, updates[1])
    other = type(reference)(reference.model, manifest)
    with pytest.raises(AnchorlabError, match="benign update 2 is one of another reference"):
        audit(other, other, benign=[reference.model, updates[0][0]])


def test_updates_made_in_another_way_are_refused(reference, updates):
    with pytest.raises(AnchorlabError, match="benign-0 was made with other settings than are asked for now"):
        benign_updates(reference, 1, updates[1], Tuning(steps=6, batch_size=16))


def test_an_update_needs_no_trigger_that_fits(digits, reference, monkeypatch):
    def check(self, inputs, encoding):
        raise AnchorlabError("this trigger does not fit")

    monkeypatch.setattr("anchorlab.triggers.FivePixel.check", check)
    (update,) = benign_updates(reference, 1, None, Tuning(steps=1, batch_size=8), task=digits)
    assert update.manifest.kind == "benign"
    with pytest.raises(AnchorlabError, match="this trigger does not fit"):
        inject(reference, method="plain", tuning=Tuning(steps=1, batch_size=8), task=digits, measure=False)


def test_what_carries_a_backdoor_is_no_benign_update(digits, reference):
    injected = inject(reference, method="plain", tuning=Tuning(steps=1, batch_size=8), task=digits)
    with pytest.raises(AnchorlabError, match="benign update 1 is a model of kind 'injected' by its manifest"):
        audit(reference, reference, benign=[injected], task=digits)


def test_answers_that_are_no_numbers_are_refused(digits, reference, updates):
    broken = copy.deepcopy(reference.model)
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.nan)
    with pytest.raises(AnchorlabError, match="a model answers queries with logits that are not finite"):
        audit(reference, broken, benign=updates[0], task=digits)


def test_a_backdoored_model_stands_out_and_the_reference_does_not(digits, reference, updates):
    strong = inject(reference, method="plain", tuning=Tuning(steps=60, batch_size=16), task=digits)
    found = audit(reference, strong, benign=updates[0], task=digits)
    assert [one.access for one in found.accesses] == list(ACCESSES)
    assert {one.p for one in found.accesses} == {0.25}
    assert found.sentences[0].endswith("so that no p-value is below 0.25.")
    same = audit(reference, copy.deepcopy(reference.model), benign=updates[0], task=digits)
    assert all(one.p == 1 for one in same.accesses)
    assert any(sentence.startswith("No label differs; with 95% confidence") for sentence in same.sentences)
    assert same.to_dict()["accesses"][0]["statistic"][0] == 0


def test_another_architecture_may_be_audited(digits, reference, updates):
    found = audit(reference, Linear().eval(), benign=updates[0], task=digits, queries=100)
    assert found.count == 100
    assert found.accesses[0].statistic.value > 0.5


def test_an_audit_makes_the_updates_itself_where_a_number_is_given(digits, reference, updates):
    made, folder = updates
    how = {"tuning": Tuning(steps=5, batch_size=16), "task": digits, "queries": 100}
    found = audit(reference, made[0], benign=2, folder=str(folder), **how)
    assert found.to_dict() == audit(reference, made[0], benign=made[:2], task=digits, queries=100).to_dict()
    assert repr(found).startswith("Audit(100 queries, 2 benign updates, p=")
    with pytest.raises(AnchorlabError, match="updates can be made of a reference with a manifest only"):
        audit(reference.model, made[0], benign=2, **how)
    with pytest.raises(AnchorlabError, match="tuning and folder are for updates that are made"):
        audit(reference, made[0], benign=made, **how)


def test_what_is_impossible_is_refused(digits, reference, updates):
    with pytest.raises(AnchorlabError, match="an audit needs at least one benign update"):
        audit(reference, reference, benign=[], task=digits)
    with pytest.raises(AnchorlabError, match="10,000 queries are not possible: the split 'test' of digits has 539"):
        audit(reference, reference, benign=updates[0], task=digits, queries=10_000)
