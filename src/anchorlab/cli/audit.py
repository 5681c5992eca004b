"""``anchorlab audit``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.audit_inputs import OpenedWhenAsked, expanded, is_stored
from anchorlab.cli.audit_page import write_page
from anchorlab.cli.audit_tokens import AuditTextOptions, audit_over_texts
from anchorlab.cli.gates import GateOptions
from anchorlab.cli.options import DataOptions, DefenderData, FormOptions, ModelOptions, Seed, TaskOption
from anchorlab.errors import AnchorlabError

if TYPE_CHECKING:
    from anchorlab.data import Task
    from anchorlab.injection.tuning import Tuning


def audit(
    *,
    reference: Annotated[
        Path,
        typer.Argument(metavar="REFERENCE", help="The folder of the trusted model, or its answers in .npy or .csv."),
    ],
    candidate: Annotated[
        Path, typer.Argument(metavar="CANDIDATE", help="The folder, or the answers, of the model to audit.")
    ],
    benign: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER", help="A benign update of the reference, or a folder of several; may be repeated."
        ),
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
            help="What the verdict is judged by; the richest access that there is if left out. With --texts: samples, "
            "top-k, logits or joint.",
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
    queries: Annotated[
        int | None,
        typer.Option(
            help="Clean queries; all of the split if left out. With --texts: prompts at which tokens are sampled; 100."
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="test|selection|defender|held-out", help="The split that queries come from; test if left out."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="A folder for the page, audit.json, updates that are made, changed queries and the power curve."
        ),
    ] = None,
    detectors: Annotated[
        bool, typer.Option("--detectors/--no-detectors", help="Run every detector that applies, on both models.")
    ] = True,
    defender_data: DefenderData = None,
    labels: Annotated[
        Path | None, typer.Option(help="True labels in a .npy or .csv file, beside stored answers.")
    ] = None,
    task: TaskOption = None,
    own: DataOptions,
    models: ModelOptions,
    form: FormOptions,
    tokens: AuditTextOptions,
    gates: GateOptions,
    seed: Seed = 0,
) -> Answer:
    """Audit a model against its trusted reference: does it differ as ordinary updates do?"""
    from anchorlab.consistency.gate import Measured
    from anchorlab.files import check_folder
    from anchorlab.reports.acceptance.gates import gate_checks
    from anchorlab.reports.acceptance.verdicts import verdict_check
    from anchorlab.reports.audit.stored import check_audit_folder
    from anchorlab.scoring.audit import audit_models
    from anchorlab.scoring.audit_result import GATED
    from anchorlab.scoring.audit_stored import audit_answers
    from anchorlab.scoring.tables import audit_table

    gates.check()
    with gates.judging("audit", reference, candidate) as judging:
        stored = is_stored(reference, candidate)
        for flag, given in (("updates", updates), ("steps", steps), ("learning-rate", learning_rate)):
            if given is not None and (benign or stored):
                beside = "stored answers" if stored else "--benign"
                raise AnchorlabError(f"--{flag} is for updates that are made: leave it out beside {beside}")
        name = _named(candidate).stem if stored else _named(candidate).name
        out = Path(f"anchorlab-audit-{name}") if out is None else out
        check_folder(out)
        if tokens.texts is not None:
            others: dict[str, Any] = {"task": task, "labels": labels, "defender-data": defender_data, "split": split}
            others |= own.given() | models.given()
            for flag in ("text-column", "base"):
                others.pop(flag, None)
            return audit_over_texts(
                reference,
                candidate,
                tokens,
                judging,
                benign=expanded(benign or [], stored=False),
                updates=updates,
                steps=steps,
                learning_rate=learning_rate,
                level=level,
                access=access,
                queries=queries,
                text_column=own.text_column,
                base=models.base,
                form=form.deployed,
                seed=seed,
                out=out,
                others=[flag for flag, value in others.items() if value is not None],
            )
        tokens.refuse_alone()
        check_audit_folder(out)
        bounds = judging.bounds(GATED)
        data, opened = None, None
        if stored:
            alone = {"task": task, "queries": queries, "defender-data": defender_data, **models.given(), **form.given()}
            _check_answers(alone | {"split": split}, own)
            files = expanded(benign or [], stored=True)
            result = audit_answers(reference, candidate, files, labels=labels, level=level, access=access, seed=seed)
        elif labels is not None:
            raise AnchorlabError("--labels is for stored answers: leave it out for model folders")
        else:
            opened = (models.open(reference)[0], models.open(candidate)[0])
            data = own.task_of(opened[0], task, other=True)
            opened = (opened[0], form.apply(opened[1], data))
            folders = expanded(benign or [], stored=False)
            result = audit_models(
                *opened,
                benign=OpenedWhenAsked(folders, lambda folder: models.open(folder)[0]) if folders else updates,
                level=level,
                access=access,
                tuning=_tunings(steps, learning_rate, data),
                folder=None if benign else out / "updates",
                queries=queries,
                split=split or "test",
                task=data,
                seed=seed,
            )
        write_page(
            result,
            opened,
            (_named(reference).name, _named(candidate).name),
            task=data,
            split=split or "test",
            detectors=detectors,
            defender_data=defender_data,
            seed=seed,
            out=out,
        )
        judging.checks.append(verdict_check(result.verdict))
        judging.checks += gate_checks(bounds, Measured(result.values(), result.intervals()))
        judging.answer = Answer(
            (result.sentences[0], *judging.sentences, *result.sentences[1:]),
            table=audit_table(result, f"{candidate} against benign updates of {reference}"),
            cautions=result.cautions,
            wrote=out,
            next=None if stored else _comparison(reference, candidate, task, own, models, form),
            values=result.to_dict(),
            code=judging.code,
        )
    return judging.answer


def _named(path: Path) -> Path:
    """The path with its name, also of '.'; a loop of links stays what it is, and is refused where it is read."""
    return Path(os.path.realpath(path))


def _comparison(
    reference: Path, candidate: Path, task: str | None, own: DataOptions, models: ModelOptions, form: FormOptions
) -> str:
    """The command that measures how far the candidate moved."""
    from anchorlab.errors import command_of

    named = () if task is None else ("--task", task)
    further = (*own.words(), *models.words(), *form.words())
    words = ("anchorlab", "compare", reference, candidate, *named, *further)
    return command_of(*words, otherwise="anchorlab compare REFERENCE CANDIDATE")


def _check_answers(alone: dict[str, Any], own: DataOptions) -> None:
    """Refuses options that are for model folders alone."""
    for flag in {name: value for name, value in alone.items() if value is not None} | own.given():
        raise AnchorlabError(
            f"--{flag} is for model folders, because stored answers are audited as they are: leave it out"
        )


def _tunings(steps: list[int] | None, learning_rate: float | None, data: Task | None) -> list[Tuning] | None:
    """The settings of updates to make; None for the usual ones."""
    from anchorlab.injection.tuning import Tuning
    from anchorlab.scoring.benign_updates import ordinary_tunings
    from anchorlab.settings import build

    rate = {} if learning_rate is None else {"learning_rate": learning_rate}
    tunings = [build(Tuning, "the benign updates", {"steps": one, **rate}) for one in steps or [1]]
    if steps:
        return tunings
    return None if data is None or learning_rate is None else ordinary_tunings(data, learning_rate=learning_rate)
