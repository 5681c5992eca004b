"""``anchorlab audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.options import DataOptions, ModelOptions, Reference, Seed, TaskOption
from anchorlab.errors import AnchorlabError


def audit(
    *,
    reference: Reference,
    candidate: Annotated[Path, typer.Argument(metavar="CANDIDATE", help="The folder of the model to audit.")],
    benign: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="A benign update of the reference; may be repeated.")
    ] = None,
    updates: Annotated[
        int | None,
        typer.Option(min=1, help="Make this many benign updates instead; 19 allow a test at level 0.05."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Steps of each such update; as of an injection if left out."),
    ] = None,
    queries: Annotated[int | None, typer.Option(help="Clean queries; all of the split if left out.")] = None,
    split: Annotated[
        str, typer.Option(metavar="test|selection|defender|held-out", help="The split that queries come from.")
    ] = "test",
    out: Annotated[
        Path | None,
        typer.Option(help="A folder for updates that are made, audit.json, and the power curve (CSV, PNG, SVG)."),
    ] = None,
    task: TaskOption = None,
    own: DataOptions,
    models: ModelOptions,
    seed: Seed = 0,
) -> Answer:
    """Audit a model against its trusted reference: does it differ by more than benign updates do?"""
    from anchorlab.files import check_folder
    from anchorlab.injection.tuning import Tuning
    from anchorlab.reports.audit import write_audit
    from anchorlab.scoring.audit import audit as run_audit
    from anchorlab.scoring.tables import audit_table
    from anchorlab.settings import build

    if bool(benign) == (updates is not None):
        raise AnchorlabError("an audit compares with benign updates: give --benign FOLDER, or --updates N, one of them")
    if benign and steps is not None:
        raise AnchorlabError("--steps is for updates that are made: leave it out beside --benign")
    check_folder(out)
    clean, audited, *made = models.open(reference, candidate, *(benign or []))
    kept = out / "updates" if out is not None and updates is not None else None
    result = run_audit(
        clean,
        audited,
        benign=updates or made,
        tuning=None if steps is None else build(Tuning, "the benign updates", {"steps": steps}),
        folder=kept,
        queries=queries,
        split=split,
        task=own.task_of(clean, task),
        seed=seed,
    )
    if out is not None:
        write_audit(result, candidate.resolve().name, out)
    return Answer(
        tuple(f"- {sentence}" for sentence in result.sentences),
        table=audit_table(result, f"{candidate} against benign updates of {reference}"),
        wrote=out,
    )
