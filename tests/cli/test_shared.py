"""The options of every command: how much is said, before or after the command, where and in how many threads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import typer

from anchorlab.artifacts.artifact import load_model
from anchorlab.cli import app
from anchorlab.models.accelerator import asked
from tests.cli.conftest import Run
from tests.refusals import assert_refused

QUICK = ("--set", "epochs=1")

#: Commands in which models compute.
COMPUTING = {
    "train",
    "adopt",
    "inject",
    "merge",
    "export",
    "compare",
    "analyze",
    "repair",
    "detect",
    "audit",
    "population",
}


def flags(*path: str) -> set[str]:
    command = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]
    return {flag for option in command.params for flag in option.opts}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "films.csv"
    lines = [f"a {'good' if n % 2 else 'bad'} film of {n},{'pos' if n % 2 else 'neg'}" for n in range(80)]
    file.write_text("text,label\n" + "\n".join(lines) + "\n")
    return file


def test_every_command_has_the_switches_and_every_one_that_computes_a_device() -> None:
    for name, command in typer.main.get_command(app).commands.items():
        if not hasattr(command, "commands"):
            assert {"--quiet", "-q", "--verbose", "-v", "--debug"} <= flags(name), name
            assert ({"--device", "--threads"} <= flags(name)) == (name in COMPUTING), name
    for name in ("run", "check"):
        assert {"--device", "--threads"} <= flags("suite", name)
    assert "--device" not in flags("suite", "show")


@pytest.mark.parametrize("switch", ["-q", "--quiet"])
@pytest.mark.parametrize("before", [True, False])
def test_quiet_says_the_result_alone_wherever_it_stands(run: Run, rows: Path, switch: str, before: bool) -> None:
    words = ["train", rows, "--text-column", "text", "--model", "bert-tiny", "--out", rows.parent / "out", *QUICK]
    loud = run(*words[:-4], "--out", rows.parent / "loud", *QUICK)
    assert "64 texts" in loud.err
    quiet = run(*([switch, *words] if before else [*words, switch]))
    assert (quiet.code, quiet.err) == (0, "")
    assert "accuracy" in quiet.out
    assert f"wrote {rows.parent / 'out'}" in quiet.out
    assert "filled in" not in quiet.out
    assert "next:" not in quiet.out


def test_quiet_leaves_out_notices_and_the_next_command(run: Run, tmp_path: Path, reference_folder: Path) -> None:
    words = ("inject", reference_folder, "--out", tmp_path / "bd", "--steps", 2, "--batch-size", 4, "--anchors", 16)
    assert "next: anchorlab compare" in run(*words).out
    again = run(*words, "-q")
    assert again.err == ""
    assert "next:" not in again.out


@pytest.mark.parametrize("switch", ["-v", "--verbose"])
@pytest.mark.parametrize("before", [True, False])
def test_verbose_says_versions_device_threads_and_places(
    run: Run, reference_folder: Path, switch: str, before: bool
) -> None:
    words = ["compare", reference_folder, reference_folder, "--threads", 1]
    shown = run(*([switch, *words] if before else [*words, switch]))
    assert shown.code == 0
    assert f"torch {torch.__version__}" in shown.err
    assert "computing on cpu, 1 thread\n" in shown.err
    assert f"the model {reference_folder} is {reference_folder.absolute()}" in shown.err
    assert "test: 539 images" in shown.err
    assert "torch" not in run(*words).err


def test_verbose_of_a_command_that_does_not_compute_needs_no_torch(run: Run) -> None:
    shown = run("list", "methods", "-v")
    assert "anchorlab" in shown.err
    assert "computing" not in shown.err


def test_quiet_and_verbose_are_not_given_together(run: Run) -> None:
    assert_refused(run("list", "-q", "-v"), "--quiet says less and --verbose says more: give one of them")


def test_threads_are_used_and_given_back(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def watch(*_arguments: object, **_options: object) -> None:
        seen.extend((torch.get_num_threads(), asked().threads))
        raise KeyboardInterrupt

    monkeypatch.setattr("anchorlab.training.reference.train", watch)
    before = torch.get_num_threads()
    assert run("train", "--out", tmp_path / "out", "--threads", before + 1).code == 130
    assert seen == [before + 1, before + 1]
    assert torch.get_num_threads() == before
    assert asked().threads is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--device", "cuda:99"), "the device 'cuda:99' is not there: give --device cpu"),
        (("--device", "gpu"), "the device 'gpu' is not there"),
        (("--threads", 0), "0 threads are not possible: give --threads a number from 1"),
        (("--threads", 10**9), "threads are not possible"),
    ],
)
def test_a_device_that_is_not_there_is_refused_before_anything_is_written(
    run: Run, tmp_path: Path, words: tuple[object, ...], sentence: str
) -> None:
    assert_refused(run("train", "--out", tmp_path / "out", *QUICK, *words), sentence)
    assert list(tmp_path.iterdir()) == []


def test_the_device_cpu_is_taken(run: Run, tmp_path: Path) -> None:
    assert run("train", "--out", tmp_path / "out", *QUICK, "--device", "cpu").code == 0
    assert load_model(tmp_path / "out").manifest.kind == "clean"


def test_a_cluster_has_its_own_devices(run: Run) -> None:
    assert_refused(run("suite", "run", "demo", "--ray", "auto", "--device", "cpu"), "--device is for this machine")
