"""The command line: parses, calls, prints. What a command needs is imported when it runs, to start at once."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from typing import Annotated, NoReturn

import typer

from anchorlab import __version__
from anchorlab.cli import analyze, audit, compare, defend, detect, inject, listing, population, suite, train
from anchorlab.errors import AnchorlabError

#: Keeps the libraries' own bars and warnings off the error stream; read when they are imported.
_QUIET = {
    "DATASETS_VERBOSITY": "error",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}

app = typer.Typer(
    name="anchorlab",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("train")(train.train)
app.command("adopt")(train.adopt)
app.command("inject")(inject.inject)
app.command("compare")(compare.compare)
app.command("defend")(defend.defend)
app.command("audit")(audit.audit)
app.command("detect")(detect.detect)
app.command("analyze")(analyze.analyze)
app.command("list")(listing.show)
app.add_typer(suite.app, name="suite")
app.command("report")(suite.report)
app.command("population")(population.population)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"anchorlab {__version__}")
        raise typer.Exit


@app.callback()
def _anchorlab(
    _debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere on the line.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Inject benchmark backdoors into trained classifiers, and measure what that changes."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command line and exits.

    The exit code is 0 after success; 2 for a mistake of the user or a refusal of the operating system,
    with one sentence on the error stream; 1 where a gate of ``compare --fail-if`` is broken; 70 for a mistake of
    ours; 130 when interrupted.

    Args:
        arguments: those after the program's name; None for those of this process.
    """
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if not debug and not sys.warnoptions:
        warnings.simplefilter("ignore")
    try:
        # A stable sort moves --debug to the front, where the app expects it.
        app(sorted(given, key=lambda argument: argument != "--debug"), prog_name="anchorlab")
        sys.stdout.flush()
    except SystemExit as end:
        if end.code == 130:  # what typer makes of a KeyboardInterrupt
            _end(130, "interrupted: the same command continues from what was written, if anything was yet", debug=debug)
        raise
    except AnchorlabError as error:
        _end(2, f"error: {error}", debug=debug)
    except OSError as error:
        _end(2, f"error: {error.filename or 'the operating system refused'}: {error.strerror or error}", debug=debug)
    except Exception as error:
        _end(70, f"internal error: {type(error).__name__}: {error}; --debug shows where", debug=debug)
    sys.exit(0)


def _end(code: int, message: str, *, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exc()
    typer.echo(" ".join(message.split()), err=True)
    sys.exit(code)
