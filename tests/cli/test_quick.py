"""Help and lists come without torch: what was imported is looked at, never a clock."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

#: Packages that take long to import.
HEAVY = (
    "torch",
    "transformers",
    "pandas",
    "numpy",
    "datasets",
    "accelerate",
    "sklearn",
    "matplotlib",
    "scipy",
    "pyarrow",
)

#: Runs lines of words one after another in one process, and prints which heavy packages that imported.
_COMMANDS = f"""
import contextlib, io, json, sys
from anchorlab.cli import main
for words in json.loads(sys.argv[1]):
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as shown:
        main(words)
    assert shown.getvalue(), words
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""

#: The same for the program as a module, once.
_MODULE = f"""
import contextlib, io, json, runpy, sys
sys.argv = ["anchorlab", *json.loads(sys.argv[1])]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as shown:
    runpy.run_module("anchorlab", run_name="__main__", alter_sys=True)
assert shown.getvalue()
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""


def imported(program: str, words: object) -> list[str]:
    ran = subprocess.run([sys.executable, "-c", program, json.dumps(words)], capture_output=True, text=True, check=True)
    names: list[str] = json.loads(ran.stdout)
    return names


def test_no_help_and_no_list_imports_torch() -> None:
    from tests.cli.test_main import commands

    helps = [[name, "--help"] for name in commands()]
    within = [["suite", name, "--help"] for name in ("run", "check", "list", "show", "schema")]
    others = [["--help"], ["--version"], ["list"], ["list", "methods"], ["list", "repairs"], ["cache"]]
    assert imported(_COMMANDS, [*helps, *within, *others]) == []


@pytest.mark.parametrize("words", [["--help"], ["list", "methods"]])
def test_nor_does_the_program_as_a_module(words: list[str]) -> None:
    assert imported(_MODULE, words) == []


@pytest.mark.parametrize("name", ["demo", "fashion-mnist", "paper-text"])
def test_nor_does_the_check_of_a_suite_that_has_not_begun(name: str, tmp_path: Path) -> None:
    assert imported(_COMMANDS, [["suite", "check", name, "--out", str(tmp_path / "new")]]) == []


def test_the_full_check_of_a_suite_imports_torch_and_nothing_else_that_is_heavy(tmp_path: Path) -> None:
    assert imported(_COMMANDS, [["suite", "check", "demo", "--out", str(tmp_path)]]) == ["torch", "numpy"]


def test_a_launcher_of_several_processes_is_still_seen() -> None:
    module = "anchorlab.training.processes"
    program = "import os; os.environ['WORLD_SIZE'] = '1'\n" + _MODULE.replace(repr(HEAVY), repr((module,)))
    assert imported(program, ["--version"]) == [module]
