"""``--module`` on every command that takes a model folder."""

from __future__ import annotations

import pytest

from anchorlab import adopt, wrap
from anchorlab.models.own_modules import module_maker
from tests.refusals import assert_refused

CODE = "import torch\nnet = lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))\n"
FEW = ("--defender-data", 40)
THREE = ("--updates", 3, "--level", 0.5, "--steps", 1, "--no-detectors")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Audits write into the current folder where none is named."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def code(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(CODE)
    return f"{path}:net"


@pytest.fixture
def folder(tmp_path, code, digits):
    for name in ("other", "0", "1", "2", "ref"):
        folder = adopt(wrap(module_maker(code)(), mean=[0.5], std=[0.5]), digits).save(tmp_path / name)
    return folder


COMMANDS = {
    "train": lambda ref, out: ("train", "digits", "--model", ref, "--out", out, "--set", "epochs=1"),
    "adopt": lambda ref, out: ("adopt", ref, "digits", "--kind", "suspicious", "--out", out),
    "inject": lambda ref, out: ("inject", ref, "--out", out, "--steps", 2, "--batch-size", 4),
    "compare": lambda ref, out: ("compare", ref, ref),
    "analyze": lambda ref, out: ("analyze", ref, ref.with_name("other"), "--examples", 20, "--budget", "2p"),
    "repair": lambda ref, out: (
        *("repair", ref, "--repair", "interpolation", "--trusted", ref, "--reference", ref, *FEW),
        *("--trigger", "square", "--target", "0"),
    ),
    "detect": lambda ref, out: ("detect", ref, "--detector", "universal-scan", *FEW),
    "audit": lambda ref, out: (
        "audit",
        ref,
        ref,
        *(word for number in "012" for word in ("--benign", ref.with_name(number))),
        "--level",
        0.5,
        "--queries",
        20,
        "--no-detectors",
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_module_that_is_named_is_opened(run, folder, code, tmp_path, command):
    arguments = COMMANDS[command](folder, tmp_path / "out")
    assert_refused(run(*arguments), folder.name, "--module FILE.py:NAME")
    ended = run(*arguments, "--module", code)
    assert ended.code == 0, ended.err


def test_updates_of_a_module_are_made_once_and_read_again(run, folder, code, tmp_path):
    arguments = ("audit", folder, folder, *THREE, "--queries", 20, "--out", tmp_path / "audit")
    for _ in range(2):
        assert run(*arguments, "--module", code).code == 0


@pytest.mark.parametrize("command", ["train", "adopt", "inject", "repair"])
def test_a_finished_command_finds_its_folder_again(run, folder, code, tmp_path, command):
    arguments = (*COMMANDS[command](folder, tmp_path / "out"), "--module", code)
    arguments = (*arguments, "--out", tmp_path / "out") if command == "repair" else arguments
    assert run(*arguments).code == 0
    ended = run(*arguments)
    assert ended.code == 0, ended.err
    assert "made by the same command" in ended.err + ended.out
