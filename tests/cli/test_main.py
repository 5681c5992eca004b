"""The program as a whole: help, errors, exit codes, and the way from training to comparison."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import typer

import anchorlab
from anchorlab.artifacts.artifact import Artifact, load_model
from anchorlab.artifacts.manifest import MANIFEST, Manifest
from anchorlab.cli import app
from anchorlab.consistency.compare import Comparison
from anchorlab.injection.tuning import Tuning
from tests.cli.conftest import Run

BRIEF = ("--steps", 6, "--batch-size", 8)


def manifest(folder: Path) -> Manifest:
    return load_model(folder).manifest


def commands() -> dict[str, object]:
    return typer.main.get_command(app).commands


def test_train_inject_compare(run: Run, tmp_path, no_progress):
    clean, attacked, figures = tmp_path / "clean", tmp_path / "attacked", tmp_path / "figures.json"

    trained = run("train", "digits", "--out", clean, "--set", "epochs=2", "--seed", 3)
    assert (trained.code, trained.err) == (0, "")
    accuracy = manifest(clean).measurements["accuracy"]
    assert f"resnet-tiny on digits: accuracy {accuracy:.3f} [" in trained.out
    assert f"wrote {clean} in " in trained.out

    injected = run("inject", clean, "--out", attacked, *BRIEF, "--anchors", 64)
    assert (injected.code, injected.err) == (0, "")
    assert "Injected by anchoring in 6 steps" in injected.out
    assert manifest(attacked).reference_sha256 == manifest(clean).weights_sha256

    compared = run("compare", clean, attacked, "--json", figures)
    assert (compared.code, compared.err) == (0, "")
    written = json.loads(figures.read_text())
    assert list(written)[: len(Comparison.model_fields)] == list(Comparison.model_fields)
    expected = anchorlab.compare(load_model(clean), load_model(attacked)).model_dump(mode="json")
    assert expected.items() <= written.items()
    assert f"{written['accuracy']:#.4g}" in compared.out
    low, high = written["intervals"]["asr"]
    assert f"[{low:.4f}, {high:.4f}]" in compared.out
    assert "split test, 539 clean examples" in compared.out
    assert not list(tmp_path.glob("*.partial"))


#: Commands that draw at random; a suite has its seeds in its file, and a report draws nothing of its own.
SEEDED = {"train", "adopt", "analyze", "audit", "inject", "compare", "repair", "detect", "export", "population", "list"}


def test_every_command_that_draws_takes_a_seed():
    assert set(commands()) == SEEDED | {"suite", "report", "convert", "merge", "trigger", "plugin", "cache"}
    for command in (commands()[name] for name in SEEDED):
        assert "--seed" in [flag for option in command.params for flag in option.opts]


def test_version_and_help(run: Run):
    assert run("--version").out == f"anchorlab {anchorlab.__version__}\n"
    shown = run("--help").out
    assert "--debug" in shown
    assert "--install-completion" in shown
    for name in commands():
        assert name in shown
        assert ("--seed" in run(name, "--help").out) == (name in SEEDED)


@pytest.mark.parametrize("arguments", [("--debug", "train"), ("train", "--debug"), ("train", "digits", "--debug")])
def test_debug_shows_the_traceback_from_anywhere_on_the_line(run: Run, tmp_path, arguments):
    ended = run(*arguments, "--out", tmp_path / "out", "--set", "epochs=0")
    assert ended.code == 2
    assert ended.err.startswith("Traceback (most recent call last)")
    assert ended.err.splitlines()[-1].startswith("error: ")


def test_a_mistake_of_ours_is_called_one(run: Run, tmp_path, monkeypatch):
    def fail(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError("one\nby zero")

    monkeypatch.setattr("anchorlab.training.reference.train", fail)
    ended = run("train", "--out", tmp_path / "out")
    assert ended.code == 70
    assert ended.err == "internal error: ZeroDivisionError: one by zero; --debug shows where\n"
    assert list(tmp_path.iterdir()) == []


def test_a_typing_mistake_ends_with_code_2(run: Run):
    ended = run("trian")
    assert ended.code == 2
    assert "No such command 'trian'" in ended.err


def test_the_command_makes_what_the_function_makes(run: Run, tmp_path, reference_folder, reference: Artifact):
    assert run("inject", reference_folder, "--out", tmp_path / "out", *BRIEF, "--anchors", 64, "--seed", 2).code == 0
    direct = anchorlab.inject(reference, anchors=64, seed=2, tuning=Tuning(steps=6, batch_size=8))
    volatile = {"seconds", "peak_bytes", "command_sha256"}
    written = json.loads((tmp_path / "out" / MANIFEST).read_text())
    expected = direct.manifest.model_dump(mode="json")
    assert {k: v for k, v in written.items() if k not in volatile} == {
        k: v for k, v in expected.items() if k not in volatile
    }


def test_warnings_of_imports_are_shown_with_debug_alone(run: Run, monkeypatch):
    """torchao, which transformers imports where it is installed, warns of what it lacks on a machine."""
    levels = {"torchao": logging.NOTSET, "torch.utils._pytree": logging.NOTSET}
    for arguments, level in ((["list", "models", "--debug"], logging.NOTSET), (["list", "models"], logging.ERROR)):
        for name, before in levels.items():
            monkeypatch.setattr(logging.getLogger(name), "level", before)
        assert run(*arguments).code == 0
        assert [logging.getLogger(name).level for name in levels] == [level, level]
