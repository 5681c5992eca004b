"""The command line parses, calls and prints. A command imports what it needs when it runs, so help comes at once."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated, NoReturn

import typer

from anchorlab import __version__
from anchorlab.cli import analyze, audit, compare, detect, inject, listing, population, repair, suite, train
from anchorlab.cli.commands import Debug, Invocation, add_command, new_app
from anchorlab.errors import AnchorlabError

#: Keeps the libraries' own bars and warnings off the error stream; read when they are imported.
_QUIET = {
    "DATASETS_VERBOSITY": "error",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}

app = new_app(name="anchorlab")
add_command(app, "train", train.train)
add_command(app, "adopt", train.adopt)
add_command(app, "inject", inject.inject)
add_command(app, "compare", compare.compare)
add_command(app, "analyze", analyze.analyze)
add_command(app, "repair", repair.repair)
add_command(app, "detect", detect.detect)
add_command(app, "audit", audit.audit)
add_command(app, "population", population.population)
app.add_typer(suite.app, name="suite")
add_command(app, "report", suite.report)
add_command(app, "list", listing.show)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"anchorlab {__version__}")
        raise typer.Exit


@app.callback()
def _anchorlab(
    *,
    debug: Debug = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Inject benchmark backdoors into trained classifiers, and measure what that changes."""
    del debug, version  # their callbacks did the work


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command line and exits.

    The exit code is 0 after success; 2 for a mistake of the user or a refusal of the operating system,
    with one sentence on the error stream; 1 where a gate of ``compare --fail-if`` is broken; 70 for a mistake of
    ours; 130 when interrupted.

    Args:
        arguments: the words after the program's name; this process's own if None.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    invocation = Invocation()
    try:
        app(arguments, prog_name="anchorlab", obj=invocation)
        sys.stdout.flush()
    except SystemExit as end:
        if end.code == 130:  # what typer makes of a KeyboardInterrupt
            message = "interrupted: the same command continues from what was written, if anything was yet"
            _end(130, message, debug=invocation.debug)
        raise
    except AnchorlabError as error:
        _end(2, f"error: {error}", debug=invocation.debug)
    except OSError as error:
        message = f"error: {error.filename or 'the operating system refused'}: {error.strerror or error}"
        _end(2, message, debug=invocation.debug)
    except Exception as error:
        message = f"internal error: {type(error).__name__}: {error}; --debug shows where"
        _end(70, message, debug=invocation.debug)
    sys.exit(0)


def _end(code: int, message: str, *, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exc()
    typer.echo(" ".join(message.split()), err=True)
    sys.exit(code)
