"""What a shell offers after the Tab key: commands, options, and values, from the catalogue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from anchorlab.cli.catalogue import names_in
from anchorlab.repairs import REPAIRS
from tests.cli.conftest import Run

#: Completes lines of words, one after another in one process; prints what is offered, and what was imported.
_COMPLETE = """
import contextlib, io, json, os, sys
from anchorlab.cli import main
offered = []
for line in json.loads(sys.argv[1]):
    words = line.split(" ")
    os.environ.update(_ANCHORLAB_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1))
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as shown:
        main([])
    offered.append(shown.getvalue().split())
print(json.dumps([offered, [name for name in ("torch", "numpy", "pandas") if name in sys.modules]]))
"""

LINES = {
    "anchorlab inj": ["inject"],
    "anchorlab suite ": ["list", "show", "schema", "check", "run"],
    "anchorlab inject ref --meth": ["--method"],
    "anchorlab inject ref --method an": ["anchoring"],
    "anchorlab inject ref --trigger s": ["square", "sinusoid", "sentence"],
    "anchorlab inject ref --label-rule all": ["all-to-one", "all-to-all"],
    "anchorlab inject ref --method surgery --set s": ["select=", "strength="],
    "anchorlab inject ref --set c": ["centred="],
    "anchorlab inject ref --anchors-from ": ["owner", "held-out"],
    "anchorlab inject ref --batchnorm ": ["frozen", "tracked"],
    "anchorlab repair bd --repair oracle-": ["oracle-fine-pruning", "oracle-anp", "oracle-rnp"],
    "anchorlab repair bd --repair nad --set sta": ["stages="],
    "anchorlab detect bd --detector st": ["strip"],
    "anchorlab train dig": ["digits"],
    "anchorlab train digits --model resnet-t": ["resnet-tiny"],
    "anchorlab train digits --set ep": ["epochs="],
    "anchorlab compare a b --split se": ["selection"],
    "anchorlab list tri": ["triggers"],
    "anchorlab suite run de": ["defences", "demo"],
    "anchorlab compare a b --device c": ["cpu", "cuda"],
}


def test_commands_options_and_values_are_completed_without_torch(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _COMPLETE, json.dumps(list(LINES))],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    offered, imported = json.loads(ran.stdout)
    assert dict(zip(LINES, offered, strict=True)) == LINES
    assert imported == []


def complete(run: Run, monkeypatch: pytest.MonkeyPatch, line: str, shell: str = "bash") -> str:
    monkeypatch.setenv("_ANCHORLAB_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
    return run().out


def test_every_repair_is_offered(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = complete(run, monkeypatch, "anchorlab repair bd --repair ").split()
    assert offered[: len(REPAIRS.names())] == names_in("repairs") == REPAIRS.names()


def test_suite_files_of_the_folder_are_offered_too(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my suite.yaml").touch()
    (tmp_path / "denmark.yaml").touch()
    assert "denmark.yaml" in complete(run, monkeypatch, "anchorlab suite check de").split()


def test_a_shell_that_shows_explanations_has_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "mean squared shift" in complete(run, monkeypatch, "anchorlab inject ref --method anc", "zsh")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_shown(run: Run, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: shell)
    shown = run("--show-completion")
    assert shown.code == 0
    assert "_ANCHORLAB_COMPLETE" in shown.out
