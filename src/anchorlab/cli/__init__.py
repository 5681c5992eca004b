"""The command line parses, calls and prints. A command imports what it needs when it runs, so help comes at once."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated, NoReturn

import typer

from anchorlab import __version__
from anchorlab.cli import (
    analyze,
    audit,
    cache,
    compare,
    convert,
    detect,
    export,
    inject,
    listing,
    merge,
    plugin,
    population,
    repair,
    report,
    suite,
    train,
    trigger,
)
from anchorlab.cli.commands import add_command, new_app
from anchorlab.cli.ending import ending, open_streams
from anchorlab.cli.shared import Debug, Invocation, Quiet, Verbose

#: Keeps the libraries' own bars and warnings off the error stream; read when they are imported.
_QUIET = {
    "DATASETS_VERBOSITY": "error",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}

app = new_app(name="anchorlab", completion=True)
add_command(app, "train", train.train, computes=True)
add_command(app, "adopt", train.adopt, computes=True)
add_command(app, "convert", convert.convert)
add_command(app, "merge", merge.merge, computes=True)
app.add_typer(trigger.app, name="trigger")
add_command(app, "inject", inject.inject, computes=True)
add_command(app, "compare", compare.compare, computes=True)
add_command(app, "analyze", analyze.analyze, computes=True)
add_command(app, "export", export.export, computes=True)
add_command(app, "repair", repair.repair, computes=True)
add_command(app, "detect", detect.detect, computes=True)
add_command(app, "audit", audit.audit, computes=True)
add_command(app, "population", population.population, computes=True)
app.add_typer(suite.app, name="suite")
add_command(app, "report", report.report)
add_command(app, "list", listing.show)
add_command(app, "cache", cache.cache)
app.add_typer(plugin.app, name="plugin")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"anchorlab {__version__}")
        raise typer.Exit


@app.callback()
def _anchorlab(
    *,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Inject benchmark backdoors into trained classifiers, and measure what that changes."""
    del quiet, verbose, debug, version  # their callbacks did the work


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command line and exits.

    The exit code is 0 after success; 2 for a mistake of the user or a refusal of the operating system,
    with one sentence on the error stream; 1 where a gate of ``compare --fail-if`` is broken; 3 where no method of a
    suite reached its target; 70 for a mistake of ours; 130 when interrupted; 141 when nobody reads the output any more,
    as in ``| head -1``.

    Args:
        arguments: the words after the program's name; this process's own if None.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    open_streams()
    invocation = Invocation()
    code: int | None = None
    try:
        code = app(arguments, prog_name="anchorlab", obj=invocation, standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            _end_unread()
        raise
    except BrokenPipeError:
        _end_unread()
    except Exception as error:
        code, text = ending(error)
        _end(code, text, debug=invocation.debug)
    if code == 130:  # what typer makes of a KeyboardInterrupt
        text = "interrupted: the same command continues from what was written, if anything was yet"
        _end(130, text, debug=invocation.debug)
    sys.exit(code or 0)


def _end(code: int, text: str, *, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exc()
    typer.echo(text, err=True)
    sys.exit(code)


def _end_unread() -> NoReturn:
    """Ends without a word, as programs do whose output goes to a pipe that was closed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python complains when it flushes the stream at its end
    sys.exit(141)
