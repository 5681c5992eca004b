"""``anchorlab report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anchorlab.cli.answer import Answer


def report(
    *,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="A folder that a command wrote: of a suite, a model, an analysis, an audit, a comparison or a "
            "detection; or a file of compare --json.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write the page; FOLDER/report, or FOLDER where the page is there already."),
    ] = None,
) -> Answer:
    """Write the page of a folder that any command wrote: one file that can be mailed; a suite's tables beside it."""
    from anchorlab.reports.write import write_report

    if not (folder / "suite.yaml").is_file():
        return Answer(wrote=write_report(folder, out=out))
    from anchorlab.cli.suite_answer import suite_answer
    from anchorlab.reports.suite.written import write_suite_report
    from anchorlab.suites.results import load_results

    results = load_results(folder)
    return suite_answer(results, write_suite_report(results, folder, out))
