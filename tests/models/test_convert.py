"""``convert``: weights out of a checkpoint, whatever they are wrapped in, without running what is in it."""

from __future__ import annotations

import json
import pickle
import subprocess
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from anchorlab.models.conversion import conversion, convert_command
from anchorlab.models.convert import convert
from anchorlab.models.pretrained import open_pretrained
from anchorlab.models.state_dicts import Found, find_weights, strip_names
from tests.refusals import refused
from tests.zoo import Hidden, save_text

WEIGHTS = {"a.weight": torch.ones(2, 2), "a.bias": torch.zeros(2)}


def named(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in WEIGHTS.items()}


@pytest.mark.parametrize(
    ("stored", "unwrapped", "left_out"),
    [
        (WEIGHTS, (), ()),
        (OrderedDict(WEIGHTS), (), ()),
        ({"epoch": 3, "state_dict": WEIGHTS, "optimizer": {"state": {0: {"step": torch.ones(1)}}}}, ("state_dict",),
         ("epoch", "optimizer")),
        ({"model": WEIGHTS, "step": torch.ones(1)}, ("model",), ("step",)),
        ({"model_state_dict": WEIGHTS}, ("model_state_dict",), ()),
        ({"net": {"module": {"state_dict": WEIGHTS}}}, ("net", "module", "state_dict"), ()),
        ({**WEIGHTS, "a._extra_state": None, "version": 2}, (), ("a._extra_state", "version")),
    ],
)  # fmt: skip
def test_weights_are_found_under_the_usual_names(stored, unwrapped, left_out):
    found = find_weights(stored, "x.pt")
    assert found.tensors.keys() == WEIGHTS.keys()
    assert (found.unwrapped, found.left_out) == (unwrapped, left_out)


def test_a_key_leads_to_weights_of_another_name():
    stored = {"student": WEIGHTS, "teacher": {"backbone": WEIGHTS, "head": named("h.")}}
    refused("holds no weights under its entries .student, teacher.: give --key", find_weights, stored, "x.pt")
    assert find_weights(stored, "x.pt", ["teacher", "head"]).tensors.keys() == named("h.").keys()
    refused(
        "no dictionary under the key 'tutor': its entries are student, teacher", find_weights, stored, "x", ["tutor"]
    )


def test_what_cannot_be_known_is_refused():
    refused(
        "under state_dict and model, and which are meant", find_weights, {"model": WEIGHTS, "state_dict": WEIGHTS}, "x"
    )
    refused("holds a list and no dictionary of weights", find_weights, [torch.ones(1)], "x")
    refused("holds no weights under its entries .epoch.", find_weights, {"epoch": 1}, "x")
    endless: dict = {"a": torch.ones(1)}
    endless["model"] = endless
    refused("a dictionary that contains itself", find_weights, endless, "x")


@pytest.mark.parametrize(
    ("tensor", "what"),
    [
        (torch.eye(2).to_sparse(), "sparse or quantised"),
        (torch.empty(2, device="meta"), "on the device meta, without its numbers"),
        (torch.ones(1).expand(10**9), "larger than what is stored for it"),
    ],
)
def test_tensors_without_all_of_their_numbers_are_refused(tensor, what):
    refused(f"the tensor a in x.pt is {what}", find_weights, {"a": tensor}, "x.pt")


@pytest.mark.parametrize(
    ("prefix", "stripped"),
    [
        ("", ()),
        ("module.", ("module.",)),
        ("_orig_mod.", ("_orig_mod.",)),
        ("module._orig_mod.module.", ("_orig_mod.", "module.", "module.")),
        ("_fsdp_wrapped_module.", ("_fsdp_wrapped_module.",)),
    ],
)
def test_what_wrappers_put_before_names_is_taken_off(prefix, stripped):
    found = strip_names(Found(named(prefix)), "x.pt")
    assert (list(found.tensors), found.stripped) == (list(WEIGHTS), stripped)


def test_a_part_that_was_compiled_and_an_averaged_model_too():
    assert list(strip_names(Found({"a._orig_mod.b": torch.ones(1), "c": torch.ones(1)}), "x").tensors) == ["a.b", "c"]
    averaged = strip_names(Found({"n_averaged": torch.ones(()), **named("module.")}), "x")
    assert (list(averaged.tensors), averaged.left_out) == (list(WEIGHTS), ("n_averaged",))
    mixed = {"module.a": torch.ones(1), "b": torch.ones(1)}
    assert strip_names(Found(mixed), "x").tensors.keys() == mixed.keys()


def test_a_prefix_of_the_users_leaves_the_rest_out():
    found = strip_names(Found({**named("net."), "loss.weight": torch.ones(1)}), "x", "net")
    assert (list(found.tensors), found.left_out, found.stripped) == (list(WEIGHTS), ("loss.weight",), ("net.",))
    refused("has a name that begins with 'nets.'", strip_names, Found(named("net.")), "x", "nets.")
    refused("the same name without '_orig_mod.'", strip_names, Found(named("") | named("_orig_mod.")), "x")


def test_a_path_is_no_option_and_a_long_command_is_not_printed():
    assert convert_command(Path("-rf/model.bin"), Path("-rf")) == "anchorlab convert ./-rf/model.bin --out ./-rf"
    assert conversion(Path("x" * 900)).endswith(": anchorlab convert FILE --out FOLDER")


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """A folder with a pickled checkpoint of training, with what the model needs beside it."""
    folder = save_text("bert", tmp_path / "it's $(touch PWNED)  model", ["neg", "pos"])
    weights = {f"module._orig_mod.{name}": value for name, value in load_file(folder / "model.safetensors").items()}
    (folder / "model.safetensors").unlink()
    (folder / "code.py").write_text("raise SystemExit")
    (folder / "vocab.txt").symlink_to(tmp_path / "secret")
    (tmp_path / "secret").write_text("secret")
    torch.save({"epoch": 3, "model": weights}, folder / "pytorch_model.bin")
    return folder


@pytest.mark.slow
def test_the_command_of_the_refusal_makes_the_refused_folder_work(checkpoint, tmp_path):
    from typer.testing import CliRunner

    from anchorlab.cli import app

    with pytest.raises(Exception, match="holds only pickled weights") as caught:
        open_pretrained(str(checkpoint))
    command = str(caught.value).partition("running what is in it: ")[2]
    said = subprocess.run(["bash", "-c", f'printf "%s\\0" {command}'], capture_output=True, check=True, cwd=tmp_path)
    words = said.stdout.decode().split("\0")[:-1]
    assert words == ["anchorlab", "convert", str(checkpoint / "pytorch_model.bin"), "--out", str(checkpoint)]
    ended = CliRunner().invoke(app, words[1:], catch_exceptions=False)
    assert "unwrapped: model\n" in ended.output
    assert "taken off the names: _orig_mod., module.\n" in ended.output
    assert "left out: epoch\n" in ended.output
    open_pretrained(str(checkpoint))
    refused("model.safetensors is there already", convert, checkpoint / "pytorch_model.bin", checkpoint)


@pytest.mark.slow
def test_a_new_folder_gets_the_texts_of_the_model_and_nothing_else(checkpoint, tmp_path):
    done = convert(checkpoint / "pytorch_model.bin", tmp_path / "out")
    files = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == files
    assert set(done.copied) == set(files) - {"model.safetensors"}
    open_pretrained(str(tmp_path / "out"))
    refused("already exists", convert, checkpoint / "pytorch_model.bin", tmp_path / "out")


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight


@pytest.mark.slow
def test_shared_and_sliced_tensors_and_several_pickles_are_converted(tmp_path):
    tied = Tied()
    torch.save(tied.state_dict() | {"part": torch.arange(8.0)[2:4]}, tmp_path / "tied.pt")
    convert(tmp_path / "tied.pt", tmp_path / "tied")
    weights = load_file(tmp_path / "tied" / "model.safetensors")
    assert torch.equal(weights["first.weight"], weights["second.weight"])
    assert weights["part"].tolist() == [2, 3]
    for number, name in enumerate(WEIGHTS):
        torch.save({name: WEIGHTS[name]}, tmp_path / f"part-{number}.bin")
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {"a.weight": "part-0.bin", "a.bias": "part-1.bin"}}))
    convert(index, tmp_path / "whole")
    assert load_file(tmp_path / "whole" / "model.safetensors").keys() == WEIGHTS.keys()
    index.write_text(json.dumps({"weight_map": {"a.weight": "../part-0.bin"}}))
    refused("may lie outside its folder", convert, index, tmp_path / "other")


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


@pytest.mark.slow
def test_what_wants_code_or_is_no_checkpoint_is_refused_and_nothing_is_left(tmp_path):
    torch.save(Hidden(), tmp_path / "module.pt")
    torch.save({"model": WEIGHTS, "bomb": Bomb(tmp_path / "trace")}, tmp_path / "bomb.pt")
    (tmp_path / "raw.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "trace")))
    (tmp_path / "damaged.pt").write_bytes((tmp_path / "module.pt").read_bytes()[:100])
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "script.pt")
    before = sorted(tmp_path.iterdir())
    for name, why in (
        ("module.pt", r"wants to run code when it is opened \(tests.zoo.Hidden\)"),
        ("bomb.pt", "wants to run code"),
        ("raw.pkl", "wants to run code|cannot be read as a checkpoint"),
        ("damaged.pt", "cannot be read as a checkpoint"),
        ("empty.pt", "cannot be read as a checkpoint"),
        ("script.pt", "is a TorchScript program"),
    ):
        refused(f"{name} .*{why}.*: ", convert, tmp_path / name, tmp_path / "out")
        assert sorted(tmp_path.iterdir()) == before
    refused("there is no file", convert, tmp_path / "none.pt", tmp_path / "out")


@pytest.mark.slow
def test_a_pickle_that_takes_for_ever_ends_without_us(tmp_path):
    # Pairs that each hold the one before twice, so that the last takes 2^58 steps to hash.
    pairs = b"".join(b"h" + bytes([n]) + b"\x86q" + bytes([n + 1]) for n in range(1, 60))
    (tmp_path / "slow.pkl").write_bytes(b"\x80\x02}q\x00)q\x01" + pairs + b"K\x01s.")
    refused("took too much memory or time", convert, tmp_path / "slow.pkl", tmp_path / "out")
    assert not (tmp_path / "out").exists()
