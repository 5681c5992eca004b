"""Damaged files of model folders, interrupted runs, analyses and audits: each command goes on, or names the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anchorlab.artifacts.artifact import CONFIG, WEIGHTS
from anchorlab.artifacts.manifest import MANIFEST
from anchorlab.training.resumable import CHECKPOINT, SETTINGS, run_into
from tests.cli.conftest import Run
from tests.damages import ANY, OF_JSON
from tests.refusals import Ended, assert_refused

DAMAGES = ANY | OF_JSON
FEW_UPDATES = ("--updates", 3, "--level", 0.5, "--steps", 1, "--no-detectors")

#: Commands on two model folders, the second of which is damaged.
COMMANDS: dict[str, Callable[[Path, Path, Path], list[object]]] = {
    "compare": lambda reference, model, out: ["compare", reference, model],
    "inject": lambda reference, model, out: ["inject", model, "--out", out, "--steps", 1, "--batch-size", 4],
    "repair": lambda reference, model, out: [
        *("repair", model, "--repair", "fine-tuning", "--defender-data", 20, "--set", "epochs=1", "--out", out),
    ],
    "audit": lambda reference, model, out: ["audit", reference, model, *FEW_UPDATES, "--out", out],
    "analyze": lambda reference, model, out: ["analyze", reference, model, "--budget", "1p", "--examples", 20],
}
FILES = [(name, damage) for name in (MANIFEST, CONFIG, WEIGHTS) for damage in (DAMAGES if "json" in name else ANY)]


def goes_on_or_names(ended: Ended, path: Path) -> None:
    if ended.code != 0:
        assert_refused(Ended(ended.code, "", ended.err), path.name)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("name", "damage"), FILES)
def test_a_damaged_file_of_a_model_folder_is_named(
    run: Run, tmp_path: Path, reference_folder: Path, injected_folder: Path, command: str, name: str, damage: str
) -> None:
    path = injected_folder / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    ended = run(*COMMANDS[command](reference_folder, injected_folder, tmp_path / "out"))
    goes_on_or_names(ended, path)
    if name == WEIGHTS:
        assert ended.code == 2


def _changed(record: dict[str, Any], key: str, change: str) -> dict[str, Any]:
    changes: dict[str, Any] = {"null": None, "a list": [record[key]], "an object": {"a": 1}, "a text": "x", "-1": -1}
    rest = {name: value for name, value in record.items() if name != key}
    return rest if change == "gone" else {**rest, key: changes[change]}


@pytest.mark.slow
@pytest.mark.parametrize("change", ["gone", "null", "a list", "an object", "a text", "-1"])
@pytest.mark.parametrize("name", [MANIFEST, CONFIG])
def test_each_key_of_a_model_folder(
    run: Run, reference_folder: Path, injected_folder: Path, name: str, change: str
) -> None:
    path = injected_folder / name
    record = json.loads(path.read_text())
    for key in record:
        path.write_text(json.dumps(_changed(record, key, change)))
        ended = run("compare", reference_folder, injected_folder)
        assert ended.code in (0, 2), (key, ended.err)
        if ended.code == 2:
            assert_refused(Ended(2, "", ended.err))


BRIEF = ("--steps", 40, "--batch-size", 8)


@pytest.fixture
def interrupted(run: Run, tmp_path: Path, reference_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``OUT.partial`` of an injection into the folder ``out``."""
    monkeypatch.setitem(run_into.__kwdefaults__, "checkpoint_seconds", 0.0)
    with monkeypatch.context() as patch:

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("anchorlab.training.resumable.save_finished", stop)
        assert run("inject", reference_folder, "--out", tmp_path / "out", *BRIEF).code == 130
    return tmp_path / "out.partial"


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_settings_of_an_interrupted_run(
    run: Run, tmp_path: Path, interrupted: Path, reference_folder: Path, damage: str
) -> None:
    path = interrupted / SETTINGS
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    ended = run("inject", reference_folder, "--out", tmp_path / "out", *BRIEF)
    if ended.code == 0:
        assert (tmp_path / "out" / WEIGHTS).is_file()
    else:
        assert_refused(ended, interrupted)


@pytest.mark.parametrize("damage", ANY)
def test_a_damaged_checkpoint_of_an_interrupted_run(
    run: Run, tmp_path: Path, interrupted: Path, reference_folder: Path, damage: str
) -> None:
    path = interrupted / CHECKPOINT
    path.write_bytes(ANY[damage](path.read_bytes()))
    ended = run("inject", reference_folder, "--out", tmp_path / "out", *BRIEF)
    goes_on_or_names(ended, path)


def test_damaged_parts_of_an_analysis_are_measured_again(
    run: Run, tmp_path: Path, reference_folder: Path, injected_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "analysis"
    command = ("analyze", reference_folder, injected_folder, "--out", out, "--budget", "1p", "--examples", 20)
    with monkeypatch.context() as patch:

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("anchorlab.reports.analysis.write_analysis", stop)
        assert run(*command).code == 130
    partial = tmp_path / "analysis.partial"
    parts = [path for path in sorted(partial.rglob("*")) if path.is_file()]
    assert parts
    kept = shutil.copytree(partial, tmp_path / "kept")
    # An analysis takes seconds: each part has another damage at a time, and two rounds have all of them.
    damages = list(DAMAGES.values())
    half = len(damages) // 2
    assert len(parts) >= len(damages) - half
    for first in (0, half):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(kept, partial, dirs_exist_ok=True)
        for number, path in enumerate(parts, first):
            path.write_bytes(damages[number % len(damages)](path.read_bytes()))
        ended = run(*command)
        assert ended.code == 0, (first, ended.err)
        assert not partial.exists()


def test_damaged_updates_of_an_audit_are_made_again_or_named(
    run: Run, tmp_path: Path, reference_folder: Path, injected_folder: Path
) -> None:
    out = tmp_path / "audit"
    command = ("audit", reference_folder, injected_folder, *FEW_UPDATES, "--out", out)
    assert run(*command).code == 0
    wanted = (out / "audit.json").read_bytes()
    kept = shutil.copytree(out, tmp_path / "kept")
    for name, damage in FILES:
        shutil.rmtree(out)
        shutil.copytree(kept, out)
        path = out / "updates" / "benign-0" / name
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
        ended = run(*command)
        goes_on_or_names(ended, path)
        if ended.code == 0:
            assert (out / "audit.json").read_bytes() == wanted, (name, damage)
