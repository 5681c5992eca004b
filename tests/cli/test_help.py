"""Help: examples that can be typed, options in groups, commands in the order of work, one way to name values."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from anchorlab.cli import app
from anchorlab.cli.examples import EXAMPLES
from anchorlab.cli.help import FEW, SHARED, WORK
from tests.cli.conftest import Run


def commands(group: Any = None, before: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command of the program, by the words that call it."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*before, name))
        else:
            yield " ".join((*before, name)), command


COMMANDS = dict(commands())


def parse(line: str) -> None:
    """Parses a line as the program does; raises what it would refuse it with."""
    program, *words = shlex.split(line)
    assert program == "anchorlab"
    words = words[: words.index(">")] if ">" in words else words
    command, context = typer.main.get_command(app), None
    while hasattr(command, "commands"):
        name, *words = words
        context = command.make_context(name, [name], parent=context)
        command = command.commands[name]
    command.make_context(line, words, parent=context)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_the_program_understands(run: Run, name: str) -> None:
    assert 1 <= len(EXAMPLES[name]) <= 3
    shown = run(*name.split(), "-h").out
    for line in EXAMPLES[name]:
        assert line.startswith(f"anchorlab {name}")
        parse(line)
        assert f"\n  {line}\n" in shown  # whole, so that it can be copied


def test_there_are_no_examples_of_commands_that_are_gone() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


def test_the_overview_has_every_command_in_the_order_of_work_with_its_whole_summary(run: Run) -> None:
    group = typer.main.get_command(app)
    order = [name for names in WORK.values() for name in names]
    assert sorted(order) == sorted(group.commands)
    shown = run("--help").out
    places = [shown.index(f"\n  {name} ") for name in order]
    assert places == sorted(places)
    assert all(f"\n{heading}:\n" in shown for heading in WORK)
    assert "..." not in shown.partition("Make models")[2]
    words = " ".join(shown.split())
    assert "Make a reference, or a suspicious model, of a classifier that somebody else trained." in words
    assert "train Train a clean reference. adopt" in words  # the first sentence alone


@pytest.mark.parametrize("words", [["-h"], ["inject", "-h"], ["suite", "-h"], ["suite", "run", "-h"]])
def test_h_is_help_everywhere(run: Run, words: list[str]) -> None:
    short, long = run(*words), run(*words[:-1], "--help")
    assert short == long
    assert short.out.startswith("Usage: anchorlab")


def test_many_options_stand_in_groups_and_few_in_one_list(run: Run) -> None:
    many, few = run("detect", "--help").out, run("suite", "show", "--help").out
    for heading in ("Options", "Your own data", "Model folders", "The attack that is measured", SHARED):
        assert f"\n{heading}:\n" in many
    assert re.findall(r"^(\S.*):$", few, flags=re.M) == ["Arguments", "Options", "Examples"]
    assert f"\n{SHARED}:\n" not in few


@pytest.mark.parametrize("name", COMMANDS)
def test_groups_are_for_more_than_a_dozen_options(run: Run, name: str) -> None:
    options = [one for one in COMMANDS[name].params if one.param_type_name == "option"]
    grouped = f"\n{SHARED}:\n" in run(*name.split(), "--help").out
    assert grouped == (len(options) + 1 > FEW)  # and --help


@pytest.mark.parametrize("name", COMMANDS)
def test_values_are_named_in_one_way(name: str) -> None:
    """Capitals for what is filled in, strokes between words to choose from."""
    for parameter in COMMANDS[name].params:
        word = parameter.metavar
        if parameter.param_type_name == "argument" or not getattr(parameter, "is_flag", False):
            assert word is not None, parameter.name
            assert re.fullmatch(r"[A-Za-z0-9.:=|*,…-]+(\|[A-Za-z0-9:*-]+)*", word), word
            assert "<" not in word


@pytest.mark.parametrize("name", COMMANDS)
def test_the_usage_names_the_arguments_as_the_help_does(run: Run, name: str) -> None:
    usage = run(*name.split(), "--help").out.partition("\n\n")[0]
    assert "{" not in usage
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "argument":
            assert parameter.metavar in usage
