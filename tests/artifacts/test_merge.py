"""Merging: the plain model of an adapter, and comparisons that find what a merge lost (peft 2502, 1836, verl 7285)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from anchorlab import Lora, Tuning, adopt, analyze, compare, inject, load_model, merge, repair
from anchorlab.artifacts.artifact import Artifact, open_model
from anchorlab.artifacts.manifest import NOTICES
from anchorlab.artifacts.merge import save_merged, whole
from anchorlab.artifacts.provenance import same_weights, weights_hash
from anchorlab.models.lora import is_adapted
from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.weight_files import notice_in
from anchorlab.perturbation.low_rank import LowRank
from anchorlab.perturbation.tables.adapter import OUTSIDE, adapter_shares
from anchorlab.perturbation.weights import perturbation_of
from tests.adapters import CLASSES, answers, moods, save_adapter
from tests.refusals import refused
from tests.zoo import save_text

pytest.importorskip("peft")

WEIGHTS = "model.safetensors"
TUNING = Tuning(steps=20, batch_size=8, learning_rate=0.05)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with the base ``ref``, the injected adapters ``lora`` and ``head``; must not be changed."""
    place = tmp_path_factory.mktemp("merge")
    task = moods(place)
    reference = load_model(adopt(save_text("bert", place / "bert", CLASSES), task).save(place / "ref"))
    for name, head in (("lora", False), ("head", True)):
        lora = Lora(rank=2, target=("query", "value"), head=head)
        inject(reference, method="plain", target="bad", lora=lora, tuning=TUNING).save(place / name)
    return place


@pytest.fixture
def foreign(place, tmp_path) -> Path:
    """An adapter that peft saved, with a head of its own, strong enough to change answers."""
    save_adapter(place / "ref", tmp_path / "foreign")
    return tmp_path / "foreign"


@pytest.mark.parametrize("name", ["lora", "head"])
def test_a_merged_model_answers_as_its_adapter_and_stays_labelled(place, tmp_path, name):
    adapter, merged = load_model(place / name), merge(place / name)
    assert isinstance(merged, Artifact)
    again = load_model(merged.save(tmp_path / "merged"))
    assert not is_adapted(again.model)
    torch.testing.assert_close(answers(again.model), answers(adapter.model), rtol=0, atol=1e-5)
    assert again.manifest.kind == "injected"
    assert again.manifest.trigger == adapter.manifest.trigger
    assert again.manifest.adapter is not None
    assert again.manifest.adapter.merged
    assert "RESEARCH ARTEFACT" in (tmp_path / "merged" / "README.md").read_text()
    assert "merged into its base" in (tmp_path / "merged" / "README.md").read_text()


def test_comparing_an_adapter_with_its_merge_finds_nothing(place):
    result = compare(load_model(place / "head"), merge(place / "head"))
    assert result.kl < 1e-10
    assert result.shift_max < 1e-5


def test_a_merge_that_lost_the_head_is_found(place, foreign, tmp_path):
    """As in peft 2502: a merged sequence classifier with the base's head in place of the adapter's."""
    merged = save_merged(merge(foreign), tmp_path / "merged")
    tensors, base = load_file(merged / WEIGHTS), load_file(place / "ref" / WEIGHTS)
    save_file(tensors | {name: base[name] for name in base if "classifier" in name}, merged / WEIGHTS)
    task = load_model(place / "ref").task()
    right = compare(open_model(foreign), merge(foreign), task=task)
    wrong = compare(open_model(foreign), open_pretrained(str(merged)), task=task)
    assert right.shift_max < 1e-5
    assert wrong.shift_max > 1e-2


def test_a_merge_at_another_scale_is_found(place, foreign, tmp_path):
    """As in peft 1836: the product added once, where the adapter's settings count it otherwise."""
    settings = json.loads((foreign / "adapter_config.json").read_text())
    (foreign / "adapter_config.json").write_text(json.dumps(settings | {"lora_alpha": 3 * settings["lora_alpha"]}))
    task = load_model(place / "ref").task()
    right = merge(foreign)
    (foreign / "adapter_config.json").write_text(json.dumps(settings))
    assert compare(right, open_model(foreign), task=task).shift_max > 1e-4


def test_a_merge_that_changed_nothing_has_the_bases_weights(place, tmp_path):
    """As in verl 7285: the folder that is called merged is the base."""
    base = load_model(place / "ref")
    copied = load_model(shutil.copytree(place / "ref", tmp_path / "merged"))
    assert same_weights(base.model, copied.model)
    assert compare(base, copied).kl == 0
    assert not same_weights(base.model, merge(place / "lora").model)
    assert not same_weights(base.model, load_model(place / "lora").model)


def test_a_foreign_adapter_merges_into_a_folder_of_transformers(place, foreign, tmp_path):
    from transformers import AutoModelForSequenceClassification

    out = save_merged(merge(foreign), tmp_path / "merged")
    assert not (out / "anchorlab.json").exists()
    net = AutoModelForSequenceClassification.from_pretrained(out).eval()
    opened = open_pretrained(str(out))
    assert all(torch.equal(value, opened.net.state_dict()[name]) for name, value in net.state_dict().items())
    torch.testing.assert_close(answers(opened), answers(open_pretrained(str(foreign))), rtol=0, atol=1e-5)


def test_what_has_no_adapter_is_not_merged(place):
    refused("no adapter in it", merge, place / "ref")


def test_a_merged_model_is_written_into_no_full_folder(foreign, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    refused("full", save_merged, merge(foreign), tmp_path / "full")


def test_another_base_is_refused_by_its_fingerprint(place, tmp_path):
    """Of the same sizes, so that nothing else would tell."""
    other = Path(shutil.copytree(place / "ref", tmp_path / "other"))
    tensors = load_file(other / WEIGHTS)
    save_file({name: value + 0.01 for name, value in tensors.items()}, other / WEIGHTS)
    refused("was tuned on a base with other weights, by its manifest", load_model, place / "lora", base=other)


def test_an_adapter_that_was_exchanged_is_refused(place, tmp_path):
    copied = Path(shutil.copytree(place / "lora", tmp_path / "lora"))
    tensors = load_file(copied / "adapter_model.safetensors")
    save_file({name: 2 * value for name, value in tensors.items()}, copied / "adapter_model.safetensors")
    refused("holds other weights than anchorlab.json", load_model, copied, base=place / "ref")


def test_an_adapter_and_its_base_move_together(place, tmp_path):
    for name in ("ref", "lora"):
        shutil.copytree(place / name, tmp_path / "moved" / name)
    moved = load_model(tmp_path / "moved" / "lora")
    assert weights_hash(moved.model) == load_model(place / "lora").manifest.weights_sha256
    assert json.loads((place / "lora" / "adapter_config.json").read_text())["base_model_name_or_path"] == "../ref"


def test_adopting_an_adapter_merges_it(place, foreign):
    adopted = adopt(foreign, load_model(place / "ref").task())
    assert not is_adapted(adopted.model)
    torch.testing.assert_close(answers(adopted.model), answers(open_pretrained(str(foreign))), rtol=0, atol=1e-5)


def test_an_adapter_on_a_base_with_a_backdoor_is_not_clean(place, tmp_path):
    injected = save_merged(merge(place / "lora"), tmp_path / "injected")
    save_adapter(injected, tmp_path / "on-top", task_type=None)
    task = load_model(place / "ref").task()
    refused("the base of the adapter is a model of kind 'injected'", adopt, tmp_path / "on-top", task)
    assert adopt(tmp_path / "on-top", task, kind="suspicious").manifest.kind == "suspicious"


def test_a_merge_on_a_base_with_a_backdoor_keeps_its_notice(place, tmp_path):
    injected = save_merged(merge(place / "lora"), tmp_path / "injected")
    save_adapter(injected, tmp_path / "on-top", task_type=None)
    merged = save_merged(merge(tmp_path / "on-top"), tmp_path / "merged")
    assert notice_in(merged / WEIGHTS) == NOTICES["injected"]
    assert json.loads((merged / "config.json").read_text())["anchorlab_notice"] == NOTICES["injected"]
    refused("of kind 'injected' by its notice in config.json", adopt, merged, load_model(place / "ref").task())


def test_a_repair_begins_with_the_merged_model(place):
    repaired = repair(load_model(place / "lora"), "fine-tuning", parameters={"epochs": 1}, defender_data=None)
    assert not is_adapted(repaired.model)
    assert repaired.manifest.adapter is None
    assert repaired.manifest.trigger is not None


@pytest.mark.parametrize(("name", "least", "most"), [("lora", 0, 1e-6), ("head", 1e-3, 1)])
def test_a_head_of_its_own_lies_outside_the_products(place, name, least, most):
    base, adapter = load_model(place / "ref").model, load_model(place / name).model
    added = LowRank.of(adapter, torch.device("cpu"))
    table = adapter_shares(base, perturbation_of(base, whole(adapter)), added)
    assert least <= table.set_index("weight").loc[OUTSIDE, "share"] <= most


@pytest.mark.slow
def test_an_analysis_says_what_an_adapter_adds(place):
    analysis = analyze(load_model(place / "ref"), {"lora": load_model(place / "lora")}, examples=8)
    assert len(analysis.tables["adapter"]) == 4
    assert any("lora is an adapter with products of rank 2 on 2 weights" in finding for finding in analysis.findings)


def test_a_plain_model_is_whole(place):
    plain = load_model(place / "ref")
    assert whole(plain) is plain
    assert whole(plain.model) is plain.model
