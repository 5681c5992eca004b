"""``anchorlab audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.audit_page import write_page
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
        typer.Option(min=1, help="Number of benign updates to make; as many as the level needs if left out."),
    ] = None,
    level: Annotated[float, typer.Option(help="Level of the test; 0.05 takes 39 benign updates.")] = 0.05,
    access: Annotated[
        str | None,
        typer.Option(
            metavar="labels|probabilities|logits|joint",
            help="What the verdict is judged by; the richest access that there is if left out.",
        ),
    ] = None,
    steps: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="Steps of each update to make; may be repeated. A short and a long setting if left out."
        ),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Learning rate of updates to make; the task's if left out.")
    ] = None,
    queries: Annotated[int | None, typer.Option(help="Clean queries; all of the split if left out.")] = None,
    split: Annotated[
        str, typer.Option(metavar="test|selection|defender|held-out", help="The split that queries come from.")
    ] = "test",
    out: Annotated[
        Path | None,
        typer.Option(
            help="A folder for the page, audit.json, updates that are made, changed queries and the power curve."
        ),
    ] = None,
    detectors: Annotated[
        bool, typer.Option("--detectors/--no-detectors", help="Run every detector that applies, on both models.")
    ] = True,
    defender_data: Annotated[
        str | None,
        typer.Option(metavar="N|all", help="Clean examples that detectors have; 640, or all of fewer, if left out."),
    ] = None,
    task: TaskOption = None,
    own: DataOptions,
    models: ModelOptions,
    seed: Seed = 0,
) -> Answer:
    """Audit a model against its trusted reference: does it differ as ordinary updates do?"""
    from anchorlab.files import check_folder
    from anchorlab.injection.tuning import Tuning
    from anchorlab.scoring.audit import audit as run_audit
    from anchorlab.scoring.tables import audit_table
    from anchorlab.settings import build

    if benign:
        for flag, given in (("updates", updates), ("steps", steps), ("learning-rate", learning_rate)):
            if given is not None:
                raise AnchorlabError(f"--{flag} is for updates that are made: leave it out beside --benign")
    check_folder(out)
    clean, audited, *given_updates = models.open(reference, candidate, *(benign or []))
    own_task = own.task_of(clean, task)
    tuning = None
    if steps:
        rate = {} if learning_rate is None else {"learning_rate": learning_rate}
        tuning = [build(Tuning, "the benign updates", {"steps": one, **rate}) for one in steps]
    result = run_audit(
        clean,
        audited,
        benign=given_updates or updates,
        level=level,
        access=access,
        tuning=tuning,
        folder=out / "updates" if out is not None and not benign else None,
        queries=queries,
        split=split,
        task=own_task,
        seed=seed,
    )
    if out is not None:
        write_page(
            result,
            (clean, audited),
            (reference.resolve().name, candidate.resolve().name),
            task=own_task,
            split=split,
            detectors=detectors,
            defender_data=defender_data,
            seed=seed,
            out=out,
        )
    return Answer(
        result.sentences,
        table=audit_table(result, f"{candidate} against benign updates of {reference}"),
        cautions=result.cautions,
        wrote=out,
        values=result.to_dict(),
    )
