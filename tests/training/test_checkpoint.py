"""Checkpoints: what they hold, that a run continues from them to the bit, and what damage says."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from anchorlab.errors import AnchorlabError
from anchorlab.models.accelerator import find_accelerator
from anchorlab.notices import Notice
from anchorlab.training.checkpoint import (
    Checkpoint,
    damage_of,
    discard_damaged,
    load_checkpoint,
    save_checkpoint,
    time_spent,
)
from anchorlab.training.fit import LOG_EVERY
from tests.training.regression import Drawn, Regression, run


def interrupted(path):
    """A run of 50 steps whose user presses Ctrl-C at step 40; the checkpoint is that of step 20."""

    def report(done, _):
        if done == 2 * LOG_EVERY:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Drawn(Regression()), checkpoint=Checkpoint(path, seconds=0), report=report)


def test_a_resumed_run_ends_bit_for_bit_where_an_uninterrupted_one_does(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    interrupted(path)
    whole, resumed = Drawn(Regression()), Drawn(Regression())
    with torch.no_grad():
        resumed.model.weight.fill_(9.0)  # what a checkpoint holds must not depend on where a new run starts
    run(whole)
    assert run(resumed, checkpoint=Checkpoint(path)) == 50
    assert resumed.asked == list(range(LOG_EVERY, 50))
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name
    assert torch.equal(resumed.state["sum"], whole.state["sum"])


def test_a_checkpoint_is_raw_tensors_and_nothing_else(tmp_path):
    """By the safetensors format: a length, a JSON header, and bytes that the header accounts for to the last."""
    path = tmp_path / "checkpoint.safetensors"
    interrupted(path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__")
    assert metadata.keys() == {"step", "seconds", "crc32"}
    assert metadata["step"] == "20"
    spans = sorted(entry["data_offsets"] for entry in header.values())
    assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == len(content) - 8 - length
    assert {name.split(".")[0] for name in header} == {"model", "optimiser", "objective"}


def test_a_checkpoint_knows_the_time_of_all_runs_before_it(tmp_path):
    path, now = tmp_path / "checkpoint.safetensors", time.monotonic()

    def interrupt_after(steps):
        def report(done, _):
            if done == steps:
                raise KeyboardInterrupt

        return report

    assert time_spent(None) == time_spent(Checkpoint(path)) == 0
    for ago, stopped_at, least in ((1000.0, 40, 1000), (50.0, 60, 1050)):
        checkpoint = Checkpoint(path, seconds=0, began=now - ago)
        with pytest.raises(KeyboardInterrupt):
            run(Drawn(Regression()), steps=80, checkpoint=checkpoint, report=interrupt_after(stopped_at))
        assert least <= time_spent(checkpoint) < least + 30


class Tied(nn.Module):
    """Two layers with one weight between them, as in language models."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 3), nn.Linear(3, 3)
        self.last.weight = self.first.weight


def test_tied_weights_are_saved_and_stay_tied(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    saved, loaded = Tied(), Tied()
    optimisers = [torch.optim.AdamW(model.parameters()) for model in (saved, loaded)]
    saved.last(saved.first(torch.ones(2, 3))).sum().backward()
    optimisers[0].step()
    save_checkpoint(path, 7, saved, optimisers[0], {})
    assert damage_of(path) is None
    assert load_checkpoint(path, loaded, optimisers[1], {}) == 7
    assert loaded.last.weight is loaded.first.weight
    for name, value in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_checkpoints_wait_for_their_time(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    run(Drawn(Regression()), checkpoint=Checkpoint(path, seconds=3600))
    assert not path.exists()


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: b"", lambda content: b"\x80" * 99])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    path = tmp_path / "checkpoint.safetensors"
    interrupted(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(AnchorlabError, match=r"checkpoint.safetensors is damaged .*delete it"):
        run(Drawn(Regression()), checkpoint=Checkpoint(path))


def test_too_little_memory_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.safetensors"
    interrupted(path)

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(torch.optim.AdamW, "load_state_dict", full)
    with pytest.raises(torch.OutOfMemoryError, match="Tried to allocate"):
        run(Drawn(Regression()), checkpoint=Checkpoint(path))


def changed(content: bytes, change) -> bytes:
    """A safetensors file with other metadata, or without a tensor."""
    tensors = load(content)
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    change(metadata, tensors)
    return save(tensors, metadata=metadata)


DAMAGES = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "binary": lambda content: b"\x80" * 99,
    "a bit": lambda content: content[:-3] + bytes([content[-3] ^ 1]) + content[-2:],
    "no step": lambda content: changed(content, lambda metadata, _: metadata.pop("step")),
    "another step": lambda content: changed(content, lambda metadata, _: metadata.update(step="7")),
    "a tensor less": lambda content: changed(content, lambda _, tensors: tensors.pop(sorted(tensors)[0])),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_removed_with_a_notice_and_the_run_begins_again(tmp_path, damage):
    path = tmp_path / "checkpoint.safetensors"
    interrupted(path)
    discard_damaged(Checkpoint(path), find_accelerator())
    assert damage_of(path) is None
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(Notice, match=r"checkpoint.safetensors is damaged .*the run begins again"):
        discard_damaged(Checkpoint(path), find_accelerator())
    assert not path.exists()


def test_a_checkpoint_of_an_earlier_version_has_no_checksum_and_is_taken(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    interrupted(path)
    path.write_bytes(changed(path.read_bytes(), lambda metadata, _: metadata.pop("crc32")))
    assert damage_of(path) is None
    path.write_bytes(changed(path.read_bytes(), lambda metadata, _: metadata.pop("step")))
    with pytest.raises(AnchorlabError, match=r"checkpoint.safetensors is damaged .*by rm "):
        run(Drawn(Regression()), checkpoint=Checkpoint(path))
