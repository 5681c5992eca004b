"""Former spellings on the command line: hidden, but they work, and a warning names the present ones."""

from __future__ import annotations

import pytest
import typer

from anchorlab.cli import app
from anchorlab.cli.former import COMMANDS, OPTIONS, SECTIONS
from tests.cli.conftest import Run


def test_a_former_command_with_former_options_repairs(run: Run, injected_folder):
    ended = run("defend", injected_folder, "--with", "clp", "--budget=all")
    assert ended.code == 0
    assert ended.err.splitlines() == [
        "warning: anchorlab defend is now called anchorlab repair; the next release drops the former name",
        "warning: --with is now called --repair; the next release drops the former name",
        "warning: --budget is now called --defender-data; the next release drops the former name",
    ]
    assert "repaired by clp" in ended.out


def test_former_options_of_detect(run: Run, injected_folder):
    ended = run("detect", injected_folder, "--with", "last-layer", "--budget", "all")
    assert (ended.code, len(ended.err.splitlines())) == (0, 2)
    present = run("detect", injected_folder, "--detector", "last-layer", "--defender-data", "all")
    former, now = (
        [line for line in each.out.splitlines() if not line.startswith("took ")] for each in (ended, present)
    )
    assert former == now


def test_a_former_section_of_list(run: Run):
    former, present = run("list", "defences"), run("list", "repairs")
    assert former.out == present.out
    assert (present.err, former.err) == (
        "",
        "warning: anchorlab list defences is now called anchorlab list repairs; the next release drops the former "
        "name\n",
    )


def test_present_spellings_exist_and_warn_of_nothing(run: Run):
    commands = typer.main.get_command(app).commands
    assert set(COMMANDS.values()) <= set(commands)
    for name, renamed in OPTIONS.items():
        offered = {flag for option in commands[name].params for flag in option.opts}
        assert set(renamed.values()) <= offered
        assert not set(renamed) & offered
    shown = run("--help")
    assert shown.err == ""
    assert not any(line.split()[:1] == [former] for former in COMMANDS for line in shown.out.splitlines())


@pytest.mark.parametrize("word", [*COMMANDS, *SECTIONS])
def test_former_names_are_not_suggested(run: Run, word):
    assert word not in run("list", word[:-1]).err
