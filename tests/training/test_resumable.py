"""Runs that may be interrupted: the folder beside the output, and who may continue it."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from anchorlab.artifacts.artifact import Artifact, load_model
from anchorlab.errors import AnchorlabError, DivergenceError
from anchorlab.notices import Notice
from anchorlab.training.checkpoint import Checkpoint
from anchorlab.training.resumable import run_into

SETTINGS = {"method": "anchoring", "seed": 0, "trigger": {"name": "five-pixel"}}


def interrupted(out, settings=SETTINGS):
    """A run that is interrupted after its first checkpoint."""

    def work(checkpoint):
        checkpoint.path.write_bytes(b"half of the work")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_into(out, settings, work)


def test_what_the_work_returns_is_saved_and_the_rest_is_tidied(tmp_path, injected):
    def work(checkpoint):
        assert checkpoint.seconds == 7.0
        assert not checkpoint.path.exists()
        checkpoint.path.write_bytes(b"some of the work")
        return injected

    saved = run_into(tmp_path / "out", SETTINGS, work, checkpoint_seconds=7.0)
    assert saved.model is injected.model
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    manifest = load_model(tmp_path / "out").manifest
    assert manifest == saved.manifest
    assert manifest.model_copy(update={"command_sha256": None}) == injected.manifest


def test_the_same_settings_again_open_what_they_made_and_others_are_refused(tmp_path, injected):
    out = tmp_path / "out"
    saved = run_into(out, SETTINGS, lambda checkpoint: injected)
    (tmp_path / "out.partial").mkdir()  # killed before it could tidy up
    (tmp_path / "out.partial" / "settings.json").write_text(json.dumps(SETTINGS))
    again = run_into(out, dict(reversed(SETTINGS.items())), never)
    assert again.manifest == saved.manifest
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(AnchorlabError, match="already exists"):
        run_into(out, SETTINGS | {"seed": 1}, never)
    injected.save(tmp_path / "other")  # of nobody knows which settings
    with pytest.raises(AnchorlabError, match="already exists"):
        run_into(tmp_path / "other", SETTINGS, never)


@pytest.mark.parametrize("damage", ["", "{", "[1]", "7", '"text"', "\0\1\2"])
def test_an_interrupted_run_whose_settings_are_damaged_begins_again(tmp_path, injected, damage):
    interrupted(tmp_path / "out")
    (tmp_path / "out.partial" / "settings.json").write_text(damage)

    def work(checkpoint):
        assert not checkpoint.path.exists()
        return injected

    with pytest.warns(Notice, match=r"settings.json .*the run begins again"):
        run_into(tmp_path / "out", SETTINGS, work)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_checkpoint_without_settings_is_not_continued(tmp_path, injected):
    interrupted(tmp_path / "out")
    (tmp_path / "out.partial" / "settings.json").unlink()

    def work(checkpoint):
        assert not checkpoint.path.exists()
        return injected

    run_into(tmp_path / "out", SETTINGS, work)


def test_the_same_settings_continue_an_interrupted_run(tmp_path, injected):
    interrupted(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    found = []

    def work(checkpoint):
        found.append(checkpoint.path.read_bytes())
        return injected

    run_into(tmp_path / "out", dict(reversed(SETTINGS.items())), work)
    assert found == [b"half of the work"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def never(checkpoint):
    raise AssertionError("the work was begun")


def test_other_settings_are_refused_with_what_differs(tmp_path):
    interrupted(tmp_path / "out")
    with pytest.raises(AnchorlabError, match=r"out.partial holds an interrupted run .*seed was 0, is 1\)"):
        run_into(tmp_path / "out", SETTINGS | {"seed": 1}, never)
    assert (tmp_path / "out.partial" / "checkpoint.safetensors").read_bytes() == b"half of the work"


def test_an_output_that_exists_is_refused_before_the_work(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(AnchorlabError, match="already exists"):
        run_into(tmp_path / "out", SETTINGS, never)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_mistake_before_the_first_checkpoint_stands_in_nobodys_way(tmp_path, injected):
    def mistaken(checkpoint):
        raise AnchorlabError("strength=-1 is not possible")

    with pytest.raises(AnchorlabError, match="strength=-1"):
        run_into(tmp_path / "out", SETTINGS | {"strength": -1}, mistaken)
    assert list(tmp_path.iterdir()) == []
    run_into(tmp_path / "out", SETTINGS, lambda checkpoint: injected)
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_a_run_that_diverged_leaves_nothing_to_continue(tmp_path):
    def diverging(checkpoint):
        checkpoint.path.write_bytes(b"what was saved before")
        raise DivergenceError("it diverged")

    with pytest.raises(DivergenceError):
        run_into(tmp_path / "out", {"seed": 1}, diverging)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [None, DivergenceError("it diverged"), AnchorlabError("a mistake")])
def test_files_of_others_stay(tmp_path: Path, injected: Artifact, error: AnchorlabError | None) -> None:
    partial = tmp_path / "out.partial"
    partial.mkdir()
    (partial / "notes.txt").write_text("mine")

    def work(checkpoint: Checkpoint) -> Artifact:
        (partial / ".checkpoint.safetensors.abcdefgh.tmp").write_text("left by a run that was killed")
        if error is None:
            return injected
        raise error

    with nullcontext() if error is None else pytest.raises(type(error)):
        run_into(tmp_path / "out", SETTINGS, work)
    assert [path.name for path in partial.iterdir()] == ["notes.txt"]
