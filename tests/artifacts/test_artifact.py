"""Model folders: what they say, what they refuse, and that they are whole or not there."""

from __future__ import annotations

import copy
import errno
import json
import os
import pickle
import struct
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from anchorlab.artifacts.artifact import Artifact, load_model
from anchorlab.artifacts.manifest import NOTICES, task_record
from anchorlab.artifacts.provenance import weights_hash
from anchorlab.attacks.label_rules import AllToOne
from anchorlab.errors import AnchorlabError
from anchorlab.triggers import FivePixel

FILES = ["README.md", "anchorlab.json", "config.json", "model.safetensors"]


def complaint(folder) -> str:
    """What loading the folder is refused with, which must be one sentence."""
    with pytest.raises(AnchorlabError) as caught:
        load_model(folder)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


def test_every_file_of_an_injected_folder_says_that_it_must_not_be_deployed(folder):
    assert sorted(path.name for path in folder.iterdir()) == FILES
    notice = NOTICES["injected"]
    assert "backdoor" in notice
    assert "must not be deployed" in notice
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt", "anchorlab": notice}
    assert json.loads((folder / "config.json").read_text())["anchorlab_notice"] == notice
    assert json.loads((folder / "anchorlab.json").read_text())["notice"] == notice
    card = (folder / "README.md").read_text()
    assert f"> [!CAUTION]\n> {notice}" in card
    assert "do-not-deploy" in card


def test_nothing_in_a_folder_is_a_pickle(folder):
    """The weights are a safetensors header and raw numbers to the last byte; all else is text."""
    for name in FILES[:3]:
        (folder / name).read_text(encoding="utf-8")
    content = (folder / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    del header["__metadata__"]
    assert max(entry["data_offsets"][1] for entry in header.values()) == len(content) - 8 - length


def test_a_folder_comes_back_as_it_was_saved(injected, folder):
    loaded = load_model(folder)
    assert loaded.manifest == injected.manifest
    assert weights_hash(loaded.model) == injected.manifest.weights_sha256 == weights_hash(injected.model)
    assert loaded.trigger == FivePixel()
    assert loaded.label_rule == AllToOne(target=0)
    assert loaded.task().hashes() == loaded.manifest.task.splits


def test_a_clean_model_has_no_trigger(reference):
    assert reference.trigger is None
    assert reference.label_rule is None


def test_a_missing_folder_is_named(tmp_path):
    assert "there is no folder" in complaint(tmp_path / "nowhere")


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("place", ["model.pt", "folder/pytorch_model.bin", "model/model.safetensors"])
def test_a_pickle_is_refused_unopened(folder, tmp_path, place):
    trace, path = tmp_path / "trace", tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(Bomb(trace)))
    message = complaint(path if place == "model.pt" else path.parent)
    assert ("never opened" if path.suffix != ".safetensors" else "damaged") in message
    assert not trace.exists()
    pickle.loads(path.read_bytes())
    assert trace.exists()  # so the bomb was a live one


@pytest.mark.parametrize("name", FILES[1:])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert f"holds no {name}: " in complaint(folder)


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:70], lambda content: content[:-1]])
def test_damaged_weights_are_named(folder, damage):
    path = folder / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    assert "model.safetensors is damaged" in complaint(folder)


def test_weights_of_another_model_are_refused(folder):
    (folder / "model.safetensors").write_bytes(save({"weight": torch.zeros(3)}))
    assert "does not fit the model" in complaint(folder)


def test_other_weights_than_the_manifest_tells_of_are_refused(folder):
    """A folder in which somebody went on training is not the clean model that its manifest promises."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["classifier.1.bias"] += 1e-3
    path.write_bytes(save(weights, metadata={"format": "pt"}))
    assert "holds other weights than anchorlab.json beside it names" in complaint(folder)


def edited(path, **changes):
    """Changes fields of a JSON file; None takes one away."""
    record = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in record.items() if value is not None}))


@pytest.mark.parametrize("content", [b"", b'{"format": 1,', b"[]", b"\xff\xfe\x00"])
def test_a_manifest_that_is_no_json_object_is_named(folder, content):
    (folder / "anchorlab.json").write_bytes(content)
    assert "anchorlab.json: " in complaint(folder)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kind": "harmless"}, "kind='harmless' is not possible"),
        ({"steps": None}, "lacks steps"),
        ({"format": 0}, "format=0 is not possible"),
        ({"format": 2, "new": 1}, "has format 2, which a newer anchorlab wrote: install that version"),
        ({"colour": "red"}, "has 'colour', which is not known there"),
    ],
)
def test_a_manifest_with_a_wrong_field_is_refused_with_its_name(folder, changes, expected):
    edited(folder / "anchorlab.json", **changes)
    assert expected in complaint(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "nothing-known"},
        {"model_type": "bert"},
        {"hidden_sizes": "wide"},
        {"num_channels": -1},
        {"hidden_act": "nothing-known"},
        {"image_mean": [0.1, 0.2]},
    ],
)
def test_a_configuration_that_describes_no_classifier_is_named(folder, changes):
    edited(folder / "config.json", **changes)
    assert "config.json describes no classifier" in complaint(folder)


def renamed(folder, names):
    config = json.loads((folder / "config.json").read_text())
    numbered = {"id2label": dict(enumerate(names)), "label2id": {name: number for number, name in enumerate(names)}}
    (folder / "config.json").write_text(json.dumps(config | numbered))


@pytest.mark.parametrize("names", ["1023456789", "abcdefghij"])
def test_a_configuration_with_other_names_of_classes_than_the_manifest_is_refused(injected, folder, names):
    if names == "abcdefghij":  # names that only count contradict none
        manifest = json.loads((folder / "anchorlab.json").read_text())
        manifest["task"]["classes"] = [f"digit {name}" for name in manifest["task"]["classes"]]
        (folder / "anchorlab.json").write_text(json.dumps(manifest))
    renamed(folder, names)
    found = complaint(folder)
    assert f"the config.json for {folder} names the classes " in found
    assert ", but its anchorlab.json " in found
    assert "copy the folder again, or, if anchorlab.json is right, write its names into id2label and label2id" in found


def test_a_configuration_whose_names_say_nothing_contradicts_no_manifest(injected, folder):
    renamed(folder, [f"LABEL_{number}" for number in range(10)])
    assert load_model(folder).manifest.task.classes == injected.manifest.task.classes
    manifest = json.loads((folder / "anchorlab.json").read_text())
    manifest["task"]["classes"] = [f"digit {name}" for name in manifest["task"]["classes"]]
    (folder / "anchorlab.json").write_text(json.dumps(manifest))
    renamed(folder, [f"Digit  {number}" for number in range(10)])  # case and spaces aside
    load_model(folder)
    renamed(folder, [str(number) for number in range(10)])
    load_model(folder)


def test_a_configuration_that_is_no_json_is_named(folder):
    (folder / "config.json").write_bytes(b'{"model_type": ')
    assert "config.json cannot be read as JSON" in complaint(folder)


def test_an_existing_folder_is_left_alone(injected, folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(AnchorlabError, match="already exists"):
        injected.save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_an_empty_folder_is_filled(injected, tmp_path):
    (tmp_path / "model").mkdir()
    injected.save(tmp_path / "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
    assert load_model(tmp_path / "model").manifest == injected.manifest


@pytest.mark.parametrize(
    ("code", "reason"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "the disk is read-only")]
)
@pytest.mark.parametrize("successes", [0, 2])
def test_a_disk_that_refuses_leaves_nothing_behind(injected, tmp_path, monkeypatch, code, reason, successes):
    calls = []

    def fsync(handle):
        calls.append(handle)
        if len(calls) > successes:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(AnchorlabError, match=rf"cannot write .*: {reason}"):
        injected.save(tmp_path / "model")
    assert len(calls) == successes + 1
    assert list(tmp_path.iterdir()) == []


def test_data_that_are_cut_otherwise_now_are_noticed(digits, reference):
    record = task_record(digits).model_copy(update={"splits": digits.hashes() | {"owner": "0" * 64}})
    older = Artifact(reference.model, reference.manifest.model_copy(update={"task": record}))
    with pytest.raises(AnchorlabError, match="the split 'owner' of digits holds other examples than when"):
        older.task()


def test_data_that_hold_other_examples_now_are_noticed(digits, reference):
    record = task_record(digits).model_copy(update={"contents": digits.contents() | {"test": "0" * 64}})
    older = Artifact(reference.model, reference.manifest.model_copy(update={"task": record}))
    with pytest.raises(AnchorlabError, match=r"the split 'test' of digits .* may be in test: restore the data"):
        older.task()


def test_a_manifest_of_an_older_version_is_known_by_its_indices_alone(digits, reference):
    record = task_record(digits).model_copy(update={"contents": None})
    older = Artifact(reference.model, reference.manifest.model_copy(update={"task": record}))
    assert older.task().hashes() == digits.hashes()


def test_opening_a_model_draws_nothing_from_the_global_generator(reference, tmp_path):
    reference.save(tmp_path / "model")
    before = torch.get_rng_state()
    load_model(tmp_path / "model")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_whose_weights_were_changed_is_not_saved(reference, tmp_path):
    changed = Artifact(copy.deepcopy(reference.model), reference.manifest)
    with torch.no_grad():
        next(changed.model.parameters()).mul_(1.01)
    with pytest.raises(AnchorlabError, match="give the module to adopt"):
        changed.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
