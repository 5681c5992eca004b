"""The options that every command has, and how much is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from anchorlab.errors import AnchorlabError, printable


@dataclass
class Invocation:
    """One call of the program.

    Attributes:
        debug: whether an error's traceback is wanted.
        quiet: whether only results and cautions are wanted.
        verbose: whether versions, device, threads and the places of files are wanted too.
        flags: the command's options by the names of their parameters; of a switch, both words.
    """

    debug: bool = False
    quiet: bool = False
    verbose: bool = False
    flags: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def check(self) -> None:
        """Refuses to be quiet and verbose at once."""
        if self.quiet and self.verbose:
            raise AnchorlabError("--quiet says less and --verbose says more: give one of them")


_CURRENT: ContextVar[Invocation | None] = ContextVar("invocation", default=None)


@contextmanager
def speaking(invocation: Invocation) -> Iterator[None]:
    """Inside, ``remark`` and ``detail`` say as much as is wanted, and progress is shown unless it is quiet."""
    from anchorlab.progress import lines, no_bars

    before = _CURRENT.set(invocation)
    try:
        with no_bars() if invocation.quiet else lines():
            yield
    finally:
        _CURRENT.reset(before)


def is_verbose() -> bool:
    """Whether ``--verbose`` was given."""
    current = _CURRENT.get()
    return current is not None and current.verbose


def flags_of(name: str) -> tuple[str, ...]:
    """The option of the command that runs now for one of its parameters; of a switch, both words; empty for others."""
    current = _CURRENT.get()
    return () if current is None else current.flags.get(name.replace("-", "_"), ())


def say(line: str, *, err: bool = False) -> None:
    """Prints a line; characters in it that steer a terminal are printed as their codes."""
    typer.echo(printable(line), err=err)


def remark(line: str) -> None:
    """Says what was read or decided, on the error stream, unless ``--quiet`` was given."""
    current = _CURRENT.get()
    if current is None or not current.quiet:
        say(line, err=True)


def detail(line: str) -> None:
    """Says more, on the error stream, if ``--verbose`` was given."""
    if is_verbose():
        say(line, err=True)


def _note(name: str) -> Callable[[typer.Context, bool], None]:
    """The callback of a switch that is read before everything else, before or after the command."""

    def note(context: typer.Context, wanted: bool) -> None:
        if wanted and isinstance(context.obj, Invocation):
            setattr(context.obj, name, True)

    return note


Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        callback=_note("quiet"),
        is_eager=True,
        help="Say the result and its cautions alone: no bars, no remarks, no next step.",
    ),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        callback=_note("verbose"),
        is_eager=True,
        help="Say more: versions, device, threads, and where files are read.",
    ),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug", callback=_note("debug"), is_eager=True, help="Show the traceback of an error, and warnings."
    ),
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
Device = Annotated[
    str | None,
    typer.Option(metavar="cpu|cuda|cuda:N|mps", help="Where to compute; the first GPU, or else the CPU, if left out."),
]
Threads = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Threads on the CPU; torch's own number if left out. In a suite, threads of each run.",
    ),
]
