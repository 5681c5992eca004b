"""The audit of a candidate, with benign updates that are given or made."""

from __future__ import annotations

import copy
import shutil
from contextlib import contextmanager

import pytest
import torch

from anchorlab import AnchorlabError, Tuning, inject
from anchorlab.artifacts.manifest import MANIFEST
from anchorlab.scoring.audit import audit
from anchorlab.scoring.audit_statistics import (
    ACCESSES,
)
from anchorlab.scoring.benign_updates import (
    PlannedUpdates,
    as_reference,
    benign_updates,
    ordinary_tunings,
    plan_updates,
)
from tests.zoo import Linear

QUICK = Tuning(steps=5, batch_size=16, learning_rate=1e-3)
#: What three updates allow.
LEVEL = 0.5


def planned(count: int, tuning: Tuning = QUICK) -> list[PlannedUpdates]:
    return [PlannedUpdates("benign", count, tuning, 5000)]


@pytest.fixture(scope="module")
def updates(digits, reference, tmp_path_factory):
    folder = tmp_path_factory.mktemp("updates")
    return list(benign_updates(reference, planned(3), folder, task=digits)), folder


@pytest.fixture(scope="module")
def ordinary(digits, reference):
    """An update that is none of the others."""
    return next(benign_updates(reference, [PlannedUpdates("benign", 1, QUICK, 7000)], None, task=digits))


def test_updates_are_made_once_and_carry_no_backdoor(digits, reference, updates, monkeypatch):
    made_first, folder = updates
    assert [one.manifest.kind for one in made_first] == ["benign"] * 3
    assert len({one.manifest.weights_sha256 for one in made_first}) == 3
    monkeypatch.setattr("anchorlab.scoring.benign_updates.run_injection", None)
    again = benign_updates(reference, planned(3), folder, task=digits)
    assert [one.manifest.weights_sha256 for one in again] == [one.manifest.weights_sha256 for one in made_first]


def test_updates_of_another_reference_are_refused(digits, reference, updates):
    manifest = reference.manifest.model_copy(update={"weights_sha256": "0" * 64})
    other = type(reference)(reference.model, manifest)
    with pytest.raises(AnchorlabError, match="benign-0 is an update of another reference"):
        next(benign_updates(other, planned(1), updates[1], task=digits))
    with pytest.raises(AnchorlabError, match="benign update 2 is one of another reference"):
        audit(other, other, benign=[updates[0][1].model, updates[0][0], reference.model], level=LEVEL)


def test_queries_never_come_from_the_split_that_updates_learn_from(digits, reference):
    with pytest.raises(AnchorlabError, match="learn from the split 'owner'"):
        audit(reference, reference, split="owner", level=LEVEL, task=digits)


def test_updates_made_in_another_way_are_refused(digits, reference, updates):
    with pytest.raises(AnchorlabError, match="benign-0 was made with other settings or data than are asked for now"):
        next(benign_updates(reference, planned(1, Tuning(steps=6, batch_size=16)), updates[1], task=digits))


def test_a_short_and_a_long_update_share_the_number(digits):
    short, long = plan_updates(digits, 39, ordinary_tunings(digits))
    assert (short.name, short.count, short.tuning.steps) == ("short", 20, 10)  # one pass is 7 steps; at least 10
    assert (long.name, long.count, long.tuning.steps) == ("long", 19, 172)  # 25 passes over 880 examples, 128 a step
    assert short.tuning.learning_rate == digits.definition.tuning_rate
    assert str(long.setting()) == "19 long (172 steps of 128 examples, learning rate 0.001)"
    assert [
        one.tuning.learning_rate for one in plan_updates(digits, 2, ordinary_tunings(digits, learning_rate=0.5))
    ] == [0.5, 0.5]


def test_every_update_has_a_seed_of_its_own(digits):
    made = plan_updates(digits, 39, ordinary_tunings(digits))
    seeds = [of.first_seed + number for of in made for number in range(of.count)]
    assert len(set(seeds)) == 39


def test_a_reference_without_a_manifest_is_adopted_for_its_updates(digits, reference):
    adopted = as_reference(reference.model, digits)
    assert adopted.manifest.weights_sha256 == reference.manifest.weights_sha256
    assert as_reference(reference, digits) is reference


def test_an_update_needs_no_trigger_that_fits(digits, reference, monkeypatch):
    def check(self, inputs, encoding):
        raise AnchorlabError("this trigger does not fit")

    monkeypatch.setattr("anchorlab.triggers.FivePixel.check", check)
    (update,) = benign_updates(reference, planned(1, Tuning(steps=1, batch_size=8)), None, task=digits)
    assert update.manifest.kind == "benign"
    with pytest.raises(AnchorlabError, match="this trigger does not fit"):
        inject(reference, method="plain", tuning=Tuning(steps=1, batch_size=8), task=digits, measure=False)


def test_what_carries_a_backdoor_is_no_benign_update(digits, reference):
    injected = inject(reference, method="plain", tuning=Tuning(steps=1, batch_size=8), task=digits)
    with pytest.raises(AnchorlabError, match="benign update 1 is a model of kind 'injected' by its manifest"):
        audit(reference, reference, benign=[injected] * 3, task=digits, level=LEVEL)


def test_answers_that_are_no_numbers_are_refused(digits, reference, updates):
    broken = copy.deepcopy(reference.model)
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.nan)
    with pytest.raises(AnchorlabError, match="the candidate answers queries with logits that are not finite"):
        audit(reference, broken, benign=updates[0], task=digits, level=LEVEL)


def test_an_update_whose_answers_are_no_numbers_is_not_kept(digits, reference, tmp_path):
    tuning = Tuning(steps=1, batch_size=8, learning_rate=1e30)
    message = "benign update 1 answers queries with logits that are not finite.* at learning rate 1e.30, give a lower"
    with pytest.raises(AnchorlabError, match=message):
        audit(reference, reference, benign=3, tuning=tuning, folder=tmp_path / "updates", task=digits, level=LEVEL)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_backdoored_model_stands_out_and_so_does_the_reference(digits, reference, updates):
    strong = inject(reference, method="plain", tuning=Tuning(steps=60, batch_size=16), task=digits)
    found = audit(reference, strong, benign=updates[0], task=digits, level=LEVEL)
    assert [one.access for one in found.accesses] == list(ACCESSES)
    assert {(one.p, one.upper, one.lower) for one in found.accesses} == {(0.5, 0.25, 1.0)}
    assert (found.verdict.value, found.verdict.access) == ("unusual: more", "logits")
    assert found.sentences[0].startswith("Unusual: the candidate moved MORE than all 3 benign updates (p = 0.5 from l")
    assert found.sentences[-1].startswith("No test of this kind proves the absence of a backdoor")
    same = audit(reference, copy.deepcopy(reference.model), benign=updates[0], task=digits, level=LEVEL)
    assert same.verdict.value == "unusual: less"
    assert "moved LESS than all 3 benign updates" in same.sentences[0]
    assert same.sentences[1].startswith("All weights of the two models are equal")
    assert not any("weights of the two" in sentence for sentence in found.sentences)
    assert any(sentence.startswith("No label differs; with 95% confidence") for sentence in same.sentences)
    assert same.to_dict()["accesses"][0]["statistic"][0] == 0


def test_an_ordinary_update_is_not_unusual_which_is_no_all_clear(digits, reference, updates, ordinary):
    found = audit(reference, ordinary, benign=updates[0], task=digits, level=LEVEL)
    assert found.verdict.value == "not unusual"
    assert found.sentences[0].startswith("Not unusual: the candidate moved more than ")
    assert "proves the absence" in found.sentences[-1]


def test_copies_are_no_benign_updates(digits, reference, updates, ordinary):
    made, copied = updates[0], copy.deepcopy(updates[0][1].model)
    how = {"task": digits, "level": LEVEL}
    for benign, words in (
        ([*made[:2], copied], "benign update 3 has the same weights as benign update 2, and a copy is no ordinary"),
        ([made[0], reference.model, made[1]], "benign update 2 has the same weights as the reference"),
        ([*made[:2], ordinary.model], "benign update 3 has the same weights as the candidate"),
    ):
        with pytest.raises(AnchorlabError, match=words):
            audit(reference, ordinary, benign=benign, **how)


def test_the_verdict_is_that_of_the_access_that_is_named(digits, reference, updates, ordinary):
    by = {
        name: audit(reference, ordinary, benign=updates[0], task=digits, queries=50, level=LEVEL, access=name)
        for name in (*ACCESSES, "joint")
    }
    for name, found in by.items():
        assert found.verdict.access == name
        assert found.verdict.p == (found.joint.p if name == "joint" else found.access(name).p)
    with pytest.raises(AnchorlabError, match="unknown access 'gradients'"):
        audit(reference, reference, benign=updates[0], task=digits, access="gradients")


def test_the_answers_stand_in_the_result(digits, reference, updates, ordinary):
    found = audit(reference, ordinary, benign=updates[0], task=digits, queries=40, level=LEVEL)
    answers = found.answers
    assert answers.reference.shape == answers.candidate.shape == (40, 10)
    assert (answers.reference.argmax(1) == answers.reference_predictions).all()
    assert (answers.candidate.argmax(1) == answers.candidate_predictions).all()
    assert len(answers.queries) == len(answers.labels) == 40
    churn = (answers.reference_predictions != answers.candidate_predictions).mean()
    assert found.values()["churn"] == churn
    assert set(found.values()) == {
        *("unusual", "p", "p_joint", "p_labels", "p_probabilities", "p_logits"),
        *("churn", "kl", "logit_distance_centred"),
    }  # fmt: skip


def test_another_architecture_may_be_audited(digits, reference, updates):
    found = audit(reference, Linear().eval(), benign=updates[0], task=digits, queries=100, level=LEVEL)
    assert found.count == 100
    assert found.accesses[0].statistic.value > 0.5


def test_an_audit_makes_the_updates_itself_where_a_number_is_given(digits, reference, updates, ordinary):
    made, folder = updates
    how = {"tuning": QUICK, "task": digits, "queries": 100, "level": LEVEL}
    found = audit(reference, ordinary, benign=3, folder=str(folder), **how)
    given = audit(reference, ordinary, benign=made, task=digits, queries=100, level=LEVEL)
    assert [one.null for one in found.accesses] == [one.null for one in given.accesses]
    assert repr(found).startswith("Audit(not unusual, 100 queries, 3 benign updates, p=")
    bare = audit(reference.model, ordinary, benign=3, **how)
    assert [one.null for one in bare.accesses] == [one.null for one in found.accesses]
    with pytest.raises(AnchorlabError, match="tuning and folder are for updates that are made"):
        audit(reference, ordinary, benign=made, **how)


def test_two_settings_are_read_apart(digits, reference):
    tunings = [Tuning(steps=1, batch_size=8), Tuning(steps=3, batch_size=8)]
    found = audit(reference, reference, benign=4, tuning=tunings, task=digits, queries=50, level=LEVEL)
    assert [(one.name, one.count) for one in found.settings] == [("short", 2), ("long", 2)]
    assert found.accesses[0].settings == ("short", "short", "long", "long")
    assert set(found.accesses[0].by_setting) == {"short", "long"}
    assert any(sentence.startswith("It hangs on what an ordinary update is") for sentence in found.sentences)


def test_too_few_updates_are_refused_with_the_number_that_it_takes(digits, reference, updates):
    with pytest.raises(AnchorlabError, match=r"3 benign updates allow no p-value below 0.5, .* needs 39: give 39 or"):
        audit(reference, reference, benign=updates[0], task=digits)
    with pytest.raises(AnchorlabError, match=r"1 benign update allows no p-value below 1, .* at the level of 0.05 nee"):
        audit(reference, reference, benign=1, task=digits)
    with pytest.raises(AnchorlabError, match=r"a test at the level of 0.05 needs 19: give 19 or more"):
        audit(reference, reference, benign=18, task=digits, access="joint")
    with pytest.raises(AnchorlabError, match=r"give 39 or more, or a level of 0.334 or more"):
        audit(reference, reference, benign=5, task=digits)
    with pytest.raises(AnchorlabError, match="0 benign updates are not possible"):
        audit(reference, reference, benign=[], task=digits)
    with pytest.raises(AnchorlabError, match=r"the level 1.5 is not possible"):
        audit(reference, reference, benign=3, level=1.5, task=digits)


def test_too_many_queries_are_refused(digits, reference, updates):
    with pytest.raises(AnchorlabError, match="10,000 queries are not possible: the split 'test' of digits has 539"):
        audit(reference, reference, benign=updates[0], task=digits, queries=10_000, level=LEVEL)


def test_progress_counts_the_updates_and_names_no_attack(digits, reference, monkeypatch):
    shown = []

    @contextmanager
    def bar(title):
        yield lambda done, total, words: shown.append((title, done, total, words))

    monkeypatch.setattr("anchorlab.scoring.benign_updates.status_bar", bar)
    list(benign_updates(reference, planned(2, Tuning(steps=1, batch_size=8)), None, task=digits))
    assert [(title, done, total) for title, done, total, _ in shown] == [("audit", 1, 2), ("audit", 2, 2)]
    assert shown[0][3].startswith("benign update 1 of 2, loss ")
    assert not any("ASR" in words or "injecting" in words for *_, words in shown)


def test_a_damaged_update_is_made_again_and_what_is_none_is_left_alone(digits, reference, updates, tmp_path):
    (made, *_), folder = updates
    copied = tmp_path / "updates"
    shutil.copytree(folder, copied)
    (place,) = {path.parent for path in copied.rglob(MANIFEST) if path.parent.name.endswith("-0")}
    for weights in place.glob("*.safetensors"):
        weights.write_bytes(b"no weights")
    again = next(benign_updates(reference, planned(1), copied, task=digits))
    assert again.manifest.weights_sha256 == made.manifest.weights_sha256
    (place / MANIFEST).unlink()
    with pytest.raises(AnchorlabError, match="is no benign update that can be read"):
        next(benign_updates(reference, planned(1), copied, task=digits))
    assert place.is_dir()
