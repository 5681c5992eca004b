"""How a function becomes a command: with its groups of options, ``--debug``, and the former spellings."""

from __future__ import annotations

import copy
import inspect
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import typer

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
    """

    debug: bool = False


def note_debug(context: typer.Context, wanted: bool) -> None:
    """Notes ``--debug``, which is read before everything else."""
    if wanted and isinstance(context.obj, Invocation):
        context.obj.debug = True


Debug = Annotated[
    bool,
    typer.Option("--debug", callback=note_debug, is_eager=True, help="Show the traceback of an error, and warnings."),
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


def add_command(app: typer.Typer, name: str, function: Callable[..., None]) -> None:
    """Makes a function a command: its options are its own, its groups' options, and ``--debug``."""
    app.command(name, cls=Command)(_debuggable(expand(function)))


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


def _debuggable(function: Callable[..., None]) -> Callable[..., None]:
    """The function with ``--debug`` as a last option, and without the warnings of libraries otherwise."""

    @wraps(function)
    def command(*, context: typer.Context, debug: bool, **values: Any) -> None:
        del debug  # its callback noted it
        invocation = context.obj if isinstance(context.obj, Invocation) else Invocation()
        if not invocation.debug and not sys.warnoptions:
            warnings.simplefilter("ignore")
        show_notices()
        function(**values)

    parameters = [
        Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context),
        *(
            parameter.replace(annotation=_with_user_paths(parameter.annotation))
            for parameter in inspect.signature(function).parameters.values()
        ),
        Parameter("debug", Parameter.KEYWORD_ONLY, default=False, annotation=Debug),
    ]
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command
