"""The commands from end to end on the digits, and how they end when something is in their way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer

import anchorlab
from anchorlab.artifacts.artifact import Artifact, load_model
from anchorlab.artifacts.manifest import MANIFEST, Manifest
from anchorlab.cli import app
from anchorlab.cli.listing import SECTIONS
from anchorlab.consistency.evaluate import Comparison
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS
from anchorlab.settings import values_of
from anchorlab.training.resumable import run_into
from anchorlab.triggers import TRIGGERS
from tests.cli.conftest import PROGRAM, Run

BRIEF = ("--steps", 6, "--batch-size", 8)


def manifest(folder: Path) -> Manifest:
    return load_model(folder).manifest


def commands() -> dict[str, object]:
    return typer.main.get_command(app).commands


def test_train_inject_compare(run: Run, tmp_path):
    clean, attacked, figures = tmp_path / "clean", tmp_path / "attacked", tmp_path / "figures.json"

    trained = run("train", "digits", "--out", clean, "--set", "epochs=2", "--seed", 3)
    assert (trained.code, trained.err) == (0, "")
    accuracy = manifest(clean).measurements["accuracy"]
    assert trained.out == f"wrote {clean}: resnet-tiny on digits, accuracy {accuracy:.4f} on selection\n"

    injected = run("inject", clean, "--out", attacked, *BRIEF, "--anchors", 64)
    assert (injected.code, injected.err) == (0, "")
    assert f"wrote {attacked}: injected by anchoring, 6 steps" in injected.out
    assert manifest(attacked).reference_sha256 == manifest(clean).weights_sha256

    compared = run("compare", clean, attacked, "--json", figures)
    assert (compared.code, compared.err) == (0, "")
    written = json.loads(figures.read_text())
    assert list(written) == list(Comparison.model_fields)
    assert written == anchorlab.compare(load_model(clean), load_model(attacked)).model_dump(mode="json")
    assert f"{written['accuracy']:#.4g}" in compared.out
    low, high = written["intervals"]["asr"]
    assert f"{low:.4f}–{high:.4f}" in compared.out
    assert "split test, 539 clean instances" in compared.out
    assert not list(tmp_path.glob("*.partial"))


def test_the_same_seed_gives_the_same_weights(run: Run, tmp_path):
    for name, seed in (("first", 5), ("again", 5), ("other", 6)):
        assert run("train", "--out", tmp_path / name, "--set", "epochs=1", "--seed", seed).code == 0
    hashes = [manifest(tmp_path / name).weights_sha256 for name in ("first", "again", "other")]
    assert hashes[0] == hashes[1] != hashes[2]


def test_every_option_of_inject_reaches_the_run(run: Run, tmp_path, reference_folder):
    out = tmp_path / "out"
    options = (
        *("--method", "ewc", "--set", "strength=0.5", "--set", "samples=16", "--trigger", "square:size=2"),
        *("--label-rule", "source-to-target:3", "--target", 7, "--anchors", 50, "--anchors-from", "held-out"),
        *("--seed", 9, "--steps", 4, "--batch-size", 8, "--learning-rate", 0.002, "--warmup", 0.3, "--clip", 2),
        *("--batchnorm", "tracked", "--augment", "--precision", "no", "--stop-at-asr", 0.9),
    )
    assert run("inject", reference_folder, "--out", out, *options).code == 0
    made = manifest(out)
    assert made.method == {"name": "ewc", "strength": 0.5, "fisher": "sampled", "samples": 16, "only": ""}
    assert made.trigger == {"name": "square", "size": 2, "margin": 1, "value": 255}
    assert made.label_rule == {"name": "source-to-target", "source": 3, "target": 7}
    assert made.anchors is not None
    assert (made.anchors.count, made.anchors.source, made.seed) == (50, "held-out", 9)
    assert made.settings == {
        "steps": 4,
        "batch_size": 8,
        "learning_rate": 0.002,
        "warmup": 0.3,
        "clip": 2.0,
        "batchnorm": "tracked",
        "augment": True,
        "precision": "no",
        "stop_at_asr": 0.9,
    }


def test_options_left_out_keep_their_defaults(run: Run, tmp_path, reference_folder):
    out = tmp_path / "out"
    assert run("inject", reference_folder, "--out", out, "--steps", 2).code == 0
    made = manifest(out)
    assert made.settings == values_of(Tuning(steps=2, learning_rate=1e-3))
    assert made.label_rule == {"name": "all-to-one", "target": 0}
    assert made.anchors is not None
    assert made.anchors.count == 880


def test_all_to_all_takes_no_target(run: Run, tmp_path, reference_folder):
    out = tmp_path / "out"
    assert run("inject", reference_folder, "--out", out, *BRIEF, "--label-rule", "all-to-all").code == 0
    assert manifest(out).label_rule == {"name": "all-to-all", "classes": 10}


def test_gradients_are_recorded_if_asked_for_and_move_no_weight(run: Run, tmp_path, reference_folder):
    for name, flags in (("plain", ()), ("recorded", ("--record-gradients",))):
        assert run("inject", reference_folder, "--out", tmp_path / name, *BRIEF, *flags).code == 0
    plain, recorded = manifest(tmp_path / "plain"), manifest(tmp_path / "recorded")
    assert recorded.weights_sha256 == plain.weights_sha256
    assert recorded.settings == plain.settings
    assert plain.gradients is None
    assert recorded.gradients is not None
    first, last = recorded.gradients
    assert (first.step, last.step) == (0, 6)
    assert (first.cosine_anchor, first.norm_anchor) == (None, 0)
    assert last.cosine_anchor is not None
    assert "NaN" not in (tmp_path / "recorded" / MANIFEST).read_text()


@pytest.mark.parametrize("flags", [(), ("--record-gradients",)])
def test_an_interrupted_injection_continues_to_the_same_weights(
    run: Run, tmp_path, reference_folder, monkeypatch, flags
):
    monkeypatch.setitem(run_into.__kwdefaults__, "checkpoint_seconds", 0.0)
    reports: list[int] = []

    @contextmanager
    def interrupted_at_40(_title: str, _total: int):
        def report(done: int, _figures: dict[str, float]) -> None:
            reports.append(done)
            if reports == [20, 40]:
                raise KeyboardInterrupt

        yield report

    monkeypatch.setattr("anchorlab.injection.inject.progress_bar", interrupted_at_40)

    def inject(out: Path):
        return run("inject", reference_folder, "--out", out, "--steps", 60, "--batch-size", 8, *flags)

    out, partial_folder = tmp_path / "out", tmp_path / "out.partial"
    stopped = inject(out)
    assert (stopped.code, stopped.out) == (130, "")
    assert stopped.err == "interrupted: the same command continues from what was written, if anything was yet\n"
    assert not out.exists()
    assert (partial_folder / "checkpoint.safetensors").is_file()

    opposite = () if flags else ("--record-gradients",)
    for others in (("--batch-size", 16, *flags), ("--batch-size", 8, *opposite)):
        other = run("inject", reference_folder, "--out", out, "--steps", 60, *others)
        assert other.code == 2
        assert "interrupted run with other settings" in other.err

    reports.append(0)
    assert inject(out).code == 0
    assert reports == [20, 40, 0, 40, 60]
    assert not partial_folder.exists()
    assert inject(tmp_path / "uninterrupted").code == 0
    resumed, whole = manifest(out), manifest(tmp_path / "uninterrupted")
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.gradients == whole.gradients
    assert [record.step for record in resumed.gradients or []] == ([0, 20, 40, 60] if flags else [])


def test_ctrl_c_ends_a_real_process_in_one_sentence(tmp_path):
    out = tmp_path / "out"
    arguments = ["train", "--out", str(out), "--set", "epochs=10000"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*PROGRAM, *arguments], stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 600
    while not (tmp_path / "out.partial" / "settings.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 130
    assert err == "interrupted: the same command continues from what was written, if anything was yet\n"
    assert list(tmp_path.iterdir()) == []


def test_compare_names_what_is_undefined_and_why(run: Run, reference_folder):
    compared = run("compare", reference_folder, reference_folder)
    assert compared.code == 0
    row = next(line for line in compared.out.splitlines() if line.split()[:1] == ["asr"])
    assert row.split()[1] == "undefined"
    assert "no trigger is known" in compared.out


def test_compare_measures_what_it_is_told_to(run: Run, tmp_path, reference_folder, reference: Artifact):
    figures = tmp_path / "figures.json"
    figures.write_text("older figures")
    arguments = ("--trigger", "square:size=4", "--target", 3, "--split", "selection", "--seed", 8, "--json", figures)
    assert run("compare", reference_folder, reference_folder, *arguments).code == 0
    task = anchorlab.load_task("digits", seed=8)
    expected = anchorlab.compare(reference, reference, task=task, trigger="square:size=4", target=3, split="selection")
    assert json.loads(figures.read_text()) == expected.model_dump(mode="json")


def test_compare_measures_on_another_task(run: Run, reference_folder, monkeypatch):
    asked: list[tuple[object, ...]] = []
    original = anchorlab.data.load_task

    def load_task(name: str, **options: object):
        asked.append((name, options))
        return original("digits")

    monkeypatch.setattr("anchorlab.artifacts.resolve.load_task", load_task)
    assert run("compare", reference_folder, reference_folder, "--task", "cifar10", "--data", "copy").code == 0
    assert asked == [("cifar10", {"seed": 0, "data": "copy", "columns": None})]


@pytest.mark.parametrize("section", SECTIONS)
def test_list_shows_one_section(run: Run, section):
    shown = run("list", section)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith(f"{section}\n")


def test_list_shows_everything(run: Run):
    shown = run("list", "--seed", 0).out
    for name in (*SECTIONS, *anchorlab.data.TASKS.names(), *METHODS.names(), *TRIGGERS.names()):
        assert name in shown


def test_list_shows_the_parameters_with_type_default_and_description(run: Run):
    shown = run("list", "methods").out
    (row,) = [line for line in shown.splitlines() if "lambda in the paper" in line]
    assert " ".join(row.split()) == "strength float = 2.0 weight of the anchor loss, lambda in the paper"
    rules = run("list", "label-rules").out
    assert any(line.split()[:3] == ["source", "int", "required"] for line in rules.splitlines())


#: Commands that draw at random; a suite has its seeds in its file, and a report draws nothing of its own.
SEEDED = {"train", "adopt", "analyze", "audit", "inject", "compare", "repair", "detect", "population", "list"}


def test_every_command_that_draws_takes_a_seed():
    assert set(commands()) == SEEDED | {"suite", "report"}
    for command in (commands()[name] for name in SEEDED):
        assert "--seed" in [flag for option in command.params for flag in option.opts]


def test_version_and_help(run: Run):
    assert run("--version").out == f"anchorlab {anchorlab.__version__}\n"
    shown = run("--help").out
    assert "--debug" in shown
    assert "completion" not in shown
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
    volatile = {"seconds", "peak_bytes"}
    written = json.loads((tmp_path / "out" / MANIFEST).read_text())
    expected = direct.manifest.model_dump(mode="json")
    assert {k: v for k, v in written.items() if k not in volatile} == {
        k: v for k, v in expected.items() if k not in volatile
    }


def test_compare_takes_folders_without_a_manifest(run: Run, reference_folder, injected_folder):
    by_manifest = run("compare", reference_folder, injected_folder)
    for folder in (reference_folder, injected_folder):
        (folder / MANIFEST).unlink()
    refused = run("compare", reference_folder, injected_folder)
    assert (refused.code, "no manifest that names its data: give --task" in refused.err) == (2, True)
    by_hand = run(
        "compare", reference_folder, injected_folder, "--task", "digits", "--trigger", "five-pixel", "--target", 0
    )
    assert by_hand.out == by_manifest.out
