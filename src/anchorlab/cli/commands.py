"""How a function becomes a command: its groups of options, ``--json``, ``--debug``, and how its answer is given."""

from __future__ import annotations

import copy
import inspect
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import typer

from anchorlab.cli.answer import STANDARD_OUTPUT, Answer, check_json, words_of, write_json_answer
from anchorlab.cli.former import Command, Group
from anchorlab.cli.groups import expand
from anchorlab.errors import printable
from anchorlab.files import user_path
from anchorlab.notices import show_notices

if TYPE_CHECKING:
    from anchorlab.statistics.table import Table


@dataclass
class Invocation:
    """One call of the program.

    Attributes:
        debug: whether an error's traceback is wanted.
        quiet: whether only results and cautions are wanted.
    """

    debug: bool = False
    quiet: bool = False


def note_debug(context: typer.Context, wanted: bool) -> None:
    """Notes ``--debug``, which is read before everything else."""
    if wanted and isinstance(context.obj, Invocation):
        context.obj.debug = True


Debug = Annotated[
    bool,
    typer.Option("--debug", callback=note_debug, is_eager=True, help="Show the traceback of an error, and warnings."),
]

JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="A file to write the result to as well, as JSON; '-' is the standard output, and words then go to the "
        "error stream.",
    ),
]


def new_app(**options: Any) -> typer.Typer:
    """A program, or a part of one, that holds commands."""
    return typer.Typer(
        cls=Group,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        **options,
    )


def add_command(app: typer.Typer, name: str, function: Callable[..., Answer | None]) -> None:
    """Makes a function a command: its options are its own, its groups' options, ``--debug`` and others for all.

    A function that returns an ``Answer`` also gets ``--json``, and its answer is printed. One that returns None prints
    data itself, as ``anchorlab list`` does.
    """
    app.command(name, cls=Command)(_finished(expand(function)))


def _path(given: str) -> Path:
    return user_path(given)


def _with_user_paths(annotation: Any) -> Any:
    """The annotation of an option, of which each path is read by ``user_path``; of another option, itself."""
    if get_origin(annotation) is not Annotated:
        return annotation
    kind, info = get_args(annotation)
    if Path not in (kind, *get_args(kind)):
        return annotation
    reading = copy.copy(info)
    reading.parser = _path
    reading.metavar = info.metavar or "<path>"
    return Annotated[kind, reading]


def say(line: str, *, err: bool = False) -> None:
    """Prints a line; characters in it that steer a terminal are printed as their codes."""
    typer.echo(printable(line), err=err)


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


def _finished(function: Callable[..., Answer | None]) -> Callable[..., None]:
    """The function with the options of every command, and with its answer given to the user."""
    answers = inspect.signature(function).return_annotation is Answer

    @wraps(function)
    def command(*, context: typer.Context, debug: bool, json_file: Path | None = None, **values: Any) -> None:
        del debug  # its callback noted it
        begun = time.monotonic()
        invocation = context.obj if isinstance(context.obj, Invocation) else Invocation()
        if not invocation.debug and not sys.warnoptions:
            warnings.simplefilter("ignore")
        show_notices()
        check_json(json_file)
        with redirect_stdout(sys.stderr) if json_file == STANDARD_OUTPUT else nullcontext():
            answer = function(**values)
        if answer is not None:
            give(answer, time.monotonic() - begun, json_file, quiet=invocation.quiet)
            if answer.code:
                raise typer.Exit(answer.code)

    parameters = [
        Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context),
        *inspect.signature(function).parameters.values(),
        *([Parameter("json_file", Parameter.KEYWORD_ONLY, default=None, annotation=JsonFile)] if answers else []),
        Parameter("debug", Parameter.KEYWORD_ONLY, default=False, annotation=Debug),
    ]
    parameters = [each.replace(annotation=_with_user_paths(each.annotation)) for each in parameters]
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command
