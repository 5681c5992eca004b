"""The workflows of ``examples/ci``: their commands are understood, and they take no more rights than they need."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from anchorlab.cli import app
from anchorlab.consistency.gate import parse_bound

CI = Path(__file__).parent.parent / "examples" / "ci"


def loaded(name: str) -> Any:
    return yaml.safe_load((CI / name).read_text())


def commands(name: str) -> list[list[str]]:
    """The words of each anchorlab command of a workflow."""
    text = str(loaded(name))
    jobs = loaded(name)["jobs"]["accept"]["steps"] if "jobs" in text else []
    scripts = [step["run"] for step in jobs if "run" in step] or loaded(name)["accept"]["script"]
    lines = [line for script in scripts for line in script.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("anchorlab ")]


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_every_command_is_one_that_the_program_understands(name: str) -> None:
    group = typer.main.get_command(app)
    found = commands(name)
    assert found
    for _, command, *words in found:
        context = group.commands[command].make_context(command, words)  # type: ignore[attr-defined]
        assert {"junit", "sarif", "summary"} <= {key for key, value in context.params.items() if value is not None}
        if command == "compare":
            assert [parse_bound(bound) for bound in context.params["fail_if"]]


def test_actions_are_pinned_by_commit_and_rights_are_few() -> None:
    workflow = loaded("github.yml")
    (job,) = workflow["jobs"].values()
    uses = [step["uses"] for step in job["steps"] if "uses" in step]
    assert len(uses) >= 4
    assert all(re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40}", action) for action in uses)
    assert workflow["permissions"] == {}
    assert job["permissions"] == {"contents": "read", "security-events": "write"}
    assert "timeout-minutes" in job


def test_no_script_holds_an_input_of_the_workflow() -> None:
    """An input within a script would be run as code; as a variable it is a word."""
    (job,) = loaded("github.yml")["jobs"].values()
    assert all("${{" not in step.get("run", "") for step in job["steps"])


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not installed")
def test_actionlint_accepts_the_workflow() -> None:
    ended = subprocess.run(["actionlint", str(CI / "github.yml")], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")
