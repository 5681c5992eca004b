"""The verb ``repair``, and what all repairs have in common: what they see, leave alone, and do."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

from anchorlab import AnchorlabError, Training, compare, load_task, train
from anchorlab.artifacts.artifact import load_model
from anchorlab.artifacts.provenance import weights_hash
from anchorlab.data import DataColumns
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.repairs import REPAIRS
from anchorlab.repairs.base import Repair
from anchorlab.repairs.repair import repair
from anchorlab.settings import build
from tests.zoo import Linear

#: Settings with which each repair takes seconds, and prunes something if it prunes.
BRIEF = {
    "anp": {"steps": 150, "tolerance": 0.1},
    "bti-dbf": {"rounds": 2, "mask_epochs": 5, "generator_epochs": 10},
    "clp": {"deviations": 2.0},
    "feature-extractor": {"epochs": 40},
    "mcr": {"epochs": 5},
    "rnp": {"batch_size": 32, "tolerance": 0.2},
    "sau": {"epochs": 6},
    "unlearning": {"search_steps": 60},
}


def test_the_backdoor_works(planted, digits):
    found = compare(planted, planted, task=digits)
    assert found.asr > 0.95
    assert found.accuracy > 0.9


def test_nothing_that_a_repair_gets_knows_the_attack_or_the_test_data():
    assert {field.name for field in dataclasses.fields(DefenderData)} == {"train", "validation", "classes", "kind"}
    means = {"accelerator", "seed", "report", "trusted", "notes"}
    assert {field.name for field in dataclasses.fields(DefenderContext)} == means
    for name in REPAIRS.names():
        arguments = list(inspect.signature(REPAIRS[name].repair).parameters)
        assert arguments == ["self", "model", "data", "context"], name


def test_a_repair_that_changes_nothing_says_so_in_its_manifest(planted, digits):
    class Idle(Repair):
        def repair(self, model, data, context):
            context.notes.append("there was nothing to do")
            return model

    repaired = repair(planted, Idle(), task=digits, defender_data=None)
    assert repaired.manifest.note.endswith("Idle changed nothing; there was nothing to do")
    alike = repair(planted, "interpolation", trusted=planted.model, task=digits, defender_data=None)
    assert "the trusted version has the weights of the model" in alike.manifest.note
    tuned = repair(planted, "fine-tuning", parameters={"epochs": 1}, task=digits, defender_data=None)
    assert tuned.manifest.note is None


def test_a_model_that_a_repair_gets_does_not_tell_what_it_is(planted, digits, tmp_path):
    class Curious(Repair):
        def repair(self, model, data, context):
            assert not any("artefact" in str(getattr(module, "config", "")) for module in model.modules())
            return model

    loaded = load_model(planted.save(tmp_path / "injected"))
    assert "ARTEFACT" in loaded.model.config.anchorlab_notice
    again = load_model(repair(loaded, Curious(), task=digits, defender_data=None).save(tmp_path / "repaired"))
    assert "must not be deployed" in again.model.config.anchorlab_notice


#: How much accuracy pruning may cost on a network so small; all else may cost 0.1.
DEAR = {"anp": 0.15, "rnp": 0.25}

#: What lowers the attack only a little here: little pruning, and the last layer alone.
WEAK = ("clp", "linear-probing", "rnp")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in REPAIRS.names() if REPAIRS[name].modality != "text"])
def test_every_repair_keeps_the_accuracy_and_leaves_the_model_alone(planted, reference, digits, name):
    before = weights_hash(planted.model)
    trainable = [parameter.requires_grad for parameter in planted.model.parameters()]
    how = {"parameters": BRIEF.get(name, {}), "defender_data": None, "task": digits, "trusted": reference}
    repaired = repair(planted, name, **how)
    assert weights_hash(planted.model) == before
    assert [parameter.requires_grad for parameter in planted.model.parameters()] == trainable
    assert not repaired.model.training
    found = compare(planted, repaired, task=digits)
    assert found.accuracy > found.accuracy_reference - DEAR.get(name, 0.1)
    assert found.asr < (found.asr_reference if name in WEAK else 0.7)
    again = repair(planted, name, **how)
    assert weights_hash(again.model) == weights_hash(repaired.model)
    assert weights_hash(repaired.model) != before


def test_the_manifest_says_what_was_done(planted, digits, tmp_path):
    repaired = repair(planted, "fine-tuning", parameters={"epochs": 1}, defender_data=40, task=digits, seed=5)
    told = load_model(repaired.save(tmp_path / "repaired")).manifest
    assert told.kind == "repaired"
    assert told.defence == {
        "name": "fine-tuning", "epochs": 1, "batch_size": 32, "learning_rate": 0.001, "tolerance": None,
        "augment": "shift", "batchnorm": "tracked",
    }  # fmt: skip
    assert told.defender.count == 40
    assert told.reference_sha256 == planted.manifest.weights_sha256
    assert (told.trigger, told.label_rule, told.method) == (
        planted.manifest.trigger, planted.manifest.label_rule, planted.manifest.method,
    )  # fmt: skip
    assert "must not be deployed" in (tmp_path / "repaired" / "README.md").read_text()
    found = compare(planted, repaired, task=digits)
    assert found.asr is not None


def test_a_model_without_manifest_is_repaired_when_its_data_are_named(planted, digits):
    repaired = repair(planted.model, "fine-tuning", parameters={"epochs": 1}, defender_data=None, task=digits)
    assert repaired.manifest.trigger is None
    same = repair(planted, "fine-tuning", parameters={"epochs": 1}, defender_data=None, task=digits)
    assert weights_hash(repaired.model) == weights_hash(same.model)
    with pytest.raises(AnchorlabError, match="no manifest that names its data"):
        repair(planted.model, "fine-tuning")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"repair": "fine-tunning"}, r"unknown repair 'fine-tunning': did you mean 'fine-tuning'\?"),
        ({"parameters": {"epoch": 3}}, "unknown parameter of repair 'nad' 'epoch'"),
        ({"parameters": {"epochs": 0}}, "epochs=0 is not possible"),
        (
            {"defender_data": 10_000},
            "10,000 clean examples for the defender are not possible: the split 'defender' of digits",
        ),
        ({"defender_data": 4}, "the defender has 4 clean examples, but 16 are needed here: give more"),
        ({"repair": "interpolation"}, "needs an earlier version of the model that is trusted: give --trusted"),
    ],
    ids=str,
)
def test_what_is_impossible_is_refused(planted, digits, arguments, complaint):
    with pytest.raises(AnchorlabError, match=complaint):
        repair(planted, **{"defender_data": None, "task": digits, **arguments})


def test_repairs_of_images_refuse_texts(tmp_path):
    path = tmp_path / "moods.csv"
    path.write_text("review,mood\n" + "".join(f"a {m} film {n},{m}\n" for n in range(250) for m in ("good", "bad")))
    task = load_task(str(path), columns=DataColumns(text="review", label="mood"))
    reader = train(task, model="bert-tiny", training=Training(epochs=1))
    for name in REPAIRS.names():
        if REPAIRS[name].modality == "image":
            with pytest.raises(AnchorlabError, match=f"{name} is for images, but the task .* holds texts"):
                repair(reader, name, task=task, defender_data=None)
    for name in ("fine-tuning", "ft-sam", "fine-pruning", "mcr"):
        how = {"parameters": {"epochs": 1}, "defender_data": None, "task": task}
        assert not repair(reader, name, **how).model.training


@pytest.mark.parametrize("name", ["nad", "anp", "clp", "rnp", "npd", "ban"])
def test_a_model_without_convolutions_is_refused_by_what_prunes_them(digits, name):
    with pytest.raises(AnchorlabError, match="but the model has none: take another repair"):
        repair(Linear().eval(), name, task=digits, defender_data=None)


def test_the_trusted_version_must_be_of_the_same_architecture(planted, digits):
    with pytest.raises(AnchorlabError, match="the trusted version is of another architecture"):
        repair(planted, "interpolation", task=digits, defender_data=None, trusted=Linear().eval())


def test_a_repair_of_texts_refuses_images(planted, digits):
    with pytest.raises(AnchorlabError, match="fine-mixing is for texts, but the task digits holds images"):
        repair(planted, "fine-mixing", task=digits, defender_data=None, trusted=planted.model)


def test_a_repair_of_one_s_own_needs_no_registration(planted, digits):
    class Nothing(Repair):
        def repair(self, model, data, context):
            return model

    assert repair(planted, Nothing(), task=digits, defender_data=None).manifest.defence == {
        "name": Nothing.__qualname__
    }
    with pytest.raises(AnchorlabError, match=r"parameters .* were given beside a built repair"):
        repair(planted, build(REPAIRS["clp"], "clp", {}), parameters={"deviations": 2}, task=digits, defender_data=None)
