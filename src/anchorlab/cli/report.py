"""``anchorlab report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anchorlab.cli.answer import Answer
from anchorlab.errors import AnchorlabError, shell_word


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
    paper: Annotated[
        bool,
        typer.Option(
            "--paper",
            help="Of a suite, write what goes into a paper instead, into FOLDER/report/paper: figures, a LaTeX table, "
            "references, and the methods in words.",
        ),
    ] = False,
    columns: Annotated[
        str | None,
        typer.Option(metavar="NAME,…", help="With --paper: metrics to show; accuracy,asr,kl,churn if left out."),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(metavar="NAME,…", help="With --paper: methods and controls to show; all if left out."),
    ] = None,
    width: Annotated[
        str | None,
        typer.Option(metavar="LENGTH", help="With --paper: width of a figure, as in 84mm or 240pt; 3.3in if left out."),
    ] = None,
) -> Answer:
    """Write the page of a folder that any command wrote: one file that can be mailed; a suite's tables beside it."""
    if paper:
        return _paper(folder, out, columns, methods, width)
    for option, value in (("--columns", columns), ("--methods", methods), ("--width", width)):
        if value is not None:
            raise AnchorlabError(f"{option} is for what goes into a paper: give --paper too, or leave {option} out")
    from anchorlab.reports.write import write_report

    if not (folder / "suite.yaml").is_file():
        page = write_report(folder, out=out)
        words, cautions = _words(folder)
        return Answer(words, cautions=cautions, wrote=page)
    from anchorlab.cli.suite_answer import suite_answer
    from anchorlab.reports.foreign import refuse_foreign_page
    from anchorlab.reports.suite.written import write_suite_report
    from anchorlab.suites.results import load_results

    results = load_results(folder)
    if out is not None:
        refuse_foreign_page(out)
    return suite_answer(results, write_suite_report(results, folder, out), folder)


def _paper(folder: Path, out: Path | None, columns: str | None, methods: str | None, width: str | None) -> Answer:
    from anchorlab.reports.paper.kit import write_paper
    from anchorlab.reports.paper.request import DEFAULT_WIDTH

    kit = write_paper(
        folder,
        out=out,
        columns=_names(columns),
        methods=_names(methods),
        width=DEFAULT_WIDTH if width is None else width,
    )
    figures = [name for name in kit.files if name.endswith(".pdf")]
    tables = [name for name in kit.files if name.startswith("table") and name.endswith(".tex")]
    latex = "pdflatex main && bibtex main && pdflatex main && pdflatex main"
    return Answer(
        sentences=(
            f"figures {', '.join(figures)}; {', '.join(tables)}, methods.tex and references.bib: see README.md",
        ),
        cautions=kit.remarks,
        wrote=kit.folder,
        next=f"cd {shell_word(kit.folder)} && {latex}",
        values={"files": list(kit.files)},
    )


def _words(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the page of a model or an audit says first, and its cautions; nothing of other folders."""
    from anchorlab.artifacts.manifest import MANIFEST
    from anchorlab.reports.audit.stored import read_audit
    from anchorlab.reports.model import model_page, read_manifest
    from anchorlab.reports.token_audit import RECORD, read_token_audit

    if (folder / RECORD).is_file():
        audit = read_token_audit(folder)
        return audit.sentences, audit.cautions
    if (folder / "audit.json").is_file():
        record = read_audit(folder)
        return tuple(record.sentences), tuple(record.cautions)
    if (folder / MANIFEST).is_file():
        return tuple(model_page(read_manifest(folder), folder).findings), ()
    return (), ()


def _names(text: str | None) -> list[str] | None:
    """The names in a list with commas; None for all."""
    return None if text is None else [name for name in map(str.strip, text.split(",")) if name]
