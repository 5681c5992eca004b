"""How a function becomes a command: its groups of options, ``--json``, ``--debug``, and how its answer is given."""

from __future__ import annotations

import inspect
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from functools import wraps
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from anchorlab.cli.annotations import polished
from anchorlab.cli.answer import STANDARD_OUTPUT, Answer, check_apart, check_json, words_of, write_json_answer
from anchorlab.cli.former import Command, Group
from anchorlab.cli.groups import expand
from anchorlab.cli.shared import (
    Debug,
    Device,
    Invocation,
    JsonFile,
    Quiet,
    Threads,
    Verbose,
    detail,
    is_verbose,
    say,
    speaking,
)
from anchorlab.cli.surroundings import surroundings
from anchorlab.notices import quiet_imports, show_notices

if TYPE_CHECKING:
    from anchorlab.statistics.table import Table

__all__ = ["add_command", "give", "new_app", "say", "show"]


def new_app(*, completion: bool = False, **options: Any) -> typer.Typer:
    """A program, or a part of one, that holds commands; the program itself can be completed by a shell."""
    return typer.Typer(
        cls=Group,
        no_args_is_help=True,
        add_completion=completion,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        **options,
    )


#: Switches of every command, by their names as parameters.
_SWITCHES = {"quiet": Quiet, "verbose": Verbose, "debug": Debug}


def add_command(app: typer.Typer, name: str, function: Callable[..., Answer | None], *, computes: bool = False) -> None:
    """Makes a function a command: its options are its own, its groups' options, ``--debug`` and others for all.

    A function that returns an ``Answer`` also gets ``--json``, and its answer is printed. One that returns None prints
    data itself, as ``anchorlab suite show`` does.

    Args:
        app: the program, or a part of it.
        name: of the command.
        function: what it does.
        computes: whether models compute in it, so that it has ``--device`` and ``--threads``.
    """
    app.command(name, cls=Command)(_finished(expand(function), computes=computes))


def show(table: Table) -> None:
    """Prints a table, all of it and as it is."""
    from rich.console import Console

    from anchorlab.statistics.table import print_full

    print_full(table, Console(markup=False, highlight=False, emoji=False))


def give(answer: Answer, seconds: float, json_file: Path | None = None, *, quiet: bool = False) -> None:
    """Prints an answer: its table and its words, and the JSON where it is wanted."""
    words = redirect_stdout(sys.stderr) if json_file == STANDARD_OUTPUT else nullcontext()
    with words:
        if answer.table is not None:
            show(answer.table)
        for line in words_of(answer, seconds, json_file, quiet=quiet):
            say(line)
    if json_file is not None:
        write_json_answer(answer, seconds, json_file, echo=lambda text: typer.echo(text, nl=False))


def _finished(function: Callable[..., Answer | None], *, computes: bool) -> Callable[..., None]:
    """The function with the options of every command, and with its answer given to the user."""
    answers = inspect.signature(function).return_annotation is Answer

    @wraps(function)
    def command(
        *,
        called: typer.Context,
        json_file: Path | None = None,
        device: str | None = None,
        threads: int | None = None,
        **values: Any,
    ) -> None:
        for switch in _SWITCHES:
            del values[switch]  # their callbacks noted them
        begun = time.monotonic()
        invocation = called.obj if isinstance(called.obj, Invocation) else Invocation()
        invocation.check()
        invocation.flags = _flags(called)
        if not invocation.debug:
            quiet_imports()
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
        if not invocation.quiet:
            show_notices()
        check_json(json_file)
        check_apart(json_file, values)
        with speaking(invocation), _computing(device, threads, computes=computes):
            with redirect_stdout(sys.stderr) if json_file == STANDARD_OUTPUT else nullcontext():
                answer = function(**values)
            if answer is not None:
                give(answer, time.monotonic() - begun, json_file, quiet=invocation.quiet)
        if answer is not None and answer.code:
            raise typer.Exit(answer.code)

    own = inspect.signature(function).parameters.values()
    shared: dict[str, Any] = {"json_file": JsonFile} if answers else {}
    shared |= {"device": Device, "threads": Threads} if computes else {}
    parameters = [
        Parameter("called", Parameter.KEYWORD_ONLY, annotation=typer.Context),
        *(each.replace(annotation=polished(each.name, each.annotation)) for each in own),
        *(
            Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=polished(name, annotation))
            for name, annotation in shared.items()
        ),
        *(
            Parameter(name, Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
            for name, annotation in _SWITCHES.items()
        ),
    ]
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _flags(context: typer.Context) -> dict[str, tuple[str, ...]]:
    """Parameter to option, of all options of a command."""
    options = [each for each in context.command.params if each.param_type_name == "option"]
    return {
        str(each.name): tuple(max(words, key=len) for words in (each.opts, each.secondary_opts) if words)
        for each in options
    }


@contextmanager
def _computing(device: str | None, threads: int | None, *, computes: bool) -> Iterator[None]:
    """Inside, models compute on the device and in the threads that were asked for; with ``--verbose``, says which."""
    if is_verbose():
        for line in surroundings(computes=False):
            detail(line)
    if not computes:
        yield
        return
    from anchorlab.models.accelerator import computing_on

    with computing_on(device, threads):
        if is_verbose():
            for line in surroundings(computes=True):
                detail(line)
        yield
