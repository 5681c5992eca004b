"""Files of weights: every one that is read is in safetensors, of the same folder, whole and finite."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.weight_files import INDEX, WEIGHTS, read_tensors, read_weights, weight_files
from tests.refusals import refused
from tests.zoo import save_text

CLASSES = ["neg", "pos"]


def shards(folder: Path) -> dict[str, str]:
    """Cuts a folder's weights into two files with an index; returns tensor to file."""
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    named = {}
    for number, part in enumerate((list(weights)[:3], list(weights)[3:]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: weights[name] for name in part}, folder / file, metadata={"format": "pt"})
        named |= dict.fromkeys(part, file)
    index(folder, named)
    return named


def index(folder: Path, named: object) -> None:
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": named}))


@pytest.fixture
def folder(tmp_path) -> Path:
    return save_text("bert", tmp_path / "model", CLASSES)


def test_weights_in_several_files_are_the_same_weights(folder):
    before = open_pretrained(str(folder)).net.state_dict()
    whole = read_weights(folder)
    shards(folder)
    assert [path.name for path in weight_files(folder)] == [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    assert read_weights(folder).keys() == whole.keys()
    after = open_pretrained(str(folder)).net.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("weights.bin", "does not end in .safetensors"),
        ("../elsewhere/weights.safetensors", "may lie outside its folder"),
        ("inner/weights.safetensors", "may lie outside its folder"),
        ("..\\weights.safetensors", "may lie outside its folder"),
        (".safetensors", "may lie outside its folder"),
        ("nowhere.safetensors", "there is no such file beside it"),
        ("link.safetensors", "is a link out of the folder"),
        (7, "does not end in .safetensors"),
        (None, "does not end in .safetensors"),
    ],
)
def test_an_index_may_name_safetensors_of_its_own_folder_alone(nothing_runs, name, why):
    folder = save_text("bert", nothing_runs / "model", CLASSES)
    elsewhere = nothing_runs / "elsewhere"
    elsewhere.mkdir()
    trace = nothing_runs / "trace"
    for place in (folder / "weights.bin", elsewhere / "weights.safetensors"):
        place.write_bytes(pickle.dumps(Bomb(trace)))
    (folder / "link.safetensors").symlink_to(elsewhere / "weights.safetensors")
    named = shards(folder)
    index(folder, dict.fromkeys(named, name))
    refused(f"{INDEX} names .*{why}", open_pretrained, str(folder))
    assert not trace.exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', "[" * 5000])
def test_a_damaged_index_is_named(folder, content):
    shards(folder)
    (folder / INDEX).write_text(content)
    refused(INDEX, open_pretrained, str(folder))


def test_an_index_that_its_files_do_not_keep_is_refused(folder):
    named = shards(folder)
    index(folder, named | {"classifier.gone": "model-00001-of-00002.safetensors"})
    refused("promises the tensor classifier.gone in model-00001-of-00002.safetensors", open_pretrained, str(folder))
    first = load_file(folder / "model-00001-of-00002.safetensors")
    second = load_file(folder / "model-00002-of-00002.safetensors")
    save_file(second | first, folder / "model-00002-of-00002.safetensors")
    index(folder, named)
    refused("holds the tensor .*, which another file of .* holds too", open_pretrained, str(folder))


def test_weights_that_are_there_twice_are_refused(folder):
    content = (folder / WEIGHTS).read_bytes()
    shards(folder)
    (folder / WEIGHTS).write_bytes(content)
    refused("holds weights twice", open_pretrained, str(folder))


def header(content: bytes, **changes: object) -> bytes:
    """Safetensors of which the entry ``weight`` is changed in the header."""
    length = struct.unpack("<Q", content[:8])[0]
    entries = json.loads(content[8 : 8 + length])
    entries["weight"] |= changes
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:20],
        lambda content: content[:-1],
        lambda content: content + b"more",
        lambda content: struct.pack("<Q", 2**63) + content[8:],
        lambda content: header(content, dtype="F77"),
        lambda content: header(content, shape=[2, 3]),
        lambda content: header(content, data_offsets=[0, 4]),
        lambda content: header(content, data_offsets=[8, 0]),
        lambda content: header(content, data_offsets=[2**62, 2**63]),
        lambda content: pickle.dumps({"weight": 1}),
    ],
)
def test_a_damaged_or_lying_file_is_named(tmp_path, damage):
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(2, 2), "bias": torch.zeros(2)}, path)
    path.write_bytes(damage(path.read_bytes()))
    refused("weights.safetensors is damaged .*: copy it again", read_tensors, path)


def test_a_file_without_tensors_or_with_quantised_ones_is_refused(tmp_path):
    save_file({}, tmp_path / "none.safetensors")
    refused("holds no tensor", read_tensors, tmp_path / "none.safetensors")
    save_file({"layer.weight": torch.zeros(2, 2, dtype=torch.int8)}, tmp_path / "int8.safetensors")
    refused("stores layer.weight as int8, as quantised models do", read_tensors, tmp_path / "int8.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(folder, value):
    weights = load_file(folder / WEIGHTS)
    weights["classifier.weight"][0, 0] = value
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    refused("are not finite in classifier.weight", open_pretrained, str(folder))


@pytest.mark.parametrize(
    ("names", "command"),
    [
        (["pytorch_model.bin", "training_args.bin"], "pytorch_model.bin --out "),
        (["training_args.bin", "epoch=3.ckpt", "optimizer.pt"], "epoch=3.ckpt'? --out "),
        (["pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"], "pytorch_model.bin.index.json --out "),
        (["tf_model.h5"], "holds no model.safetensors, but tf_model.h5"),
        (["training_args.bin"], "holds no model.safetensors: give"),
        (["adapter_model.safetensors"], "holds no model.safetensors, but adapter_model.safetensors"),
    ],
)
def test_a_folder_without_safetensors_says_what_is_there_and_converts_the_weights(folder, names, command):
    (folder / WEIGHTS).unlink()
    for name in names:
        (folder / name).write_bytes(b"")
    refused(command, open_pretrained, str(folder))
