"""``anchorlab analyze``."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.following import beside, filled_in, next_command
from anchorlab.cli.options import (
    AttackOptions,
    DataOptions,
    ModelOptions,
    Reference,
    Seed,
    Split,
    TaskOption,
    set_option,
    set_parameters,
)


def analyze(
    *,
    reference: Reference,
    candidates: Annotated[list[Path], typer.Argument(metavar="CANDIDATE", help="The folders to compare with it.")],
    out: Annotated[
        Path | None, typer.Option(help="A folder for the page, its figures and tables. It must not hold anything yet.")
    ] = None,
    examples: Annotated[
        int | None,
        typer.Option(help="Number of clean examples to measure on; 2,000 if left out, or all of fewer."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDSs|PRODUCTSp",
            help="Largest cost, as in 120s, or 40p for Hessian-vector products. The rest is left out, and named.",
        ),
    ] = None,
    task: TaskOption = None,
    own: DataOptions,
    models: ModelOptions,
    attack: AttackOptions,
    split: Split = None,
    seed: Seed = 0,
    set_: Annotated[list[str] | None, set_option("the analysis")] = None,
) -> Answer:
    """Analyse the weight perturbation: its size, what it does to the function, whether it stays in the basin."""
    from rich.console import Console

    from anchorlab.artifacts.manifest import task_record
    from anchorlab.artifacts.provenance import weights_hash
    from anchorlab.artifacts.resolve import common_task, module_of
    from anchorlab.files import read_json, refuse_existing, write_folder_atomically
    from anchorlab.perturbation.analyze import SPENT
    from anchorlab.perturbation.analyze import analyze as run_analysis
    from anchorlab.perturbation.settings import AnalysisSettings
    from anchorlab.perturbation.size_words import words_of_sizes
    from anchorlab.perturbation.summary import summary_table
    from anchorlab.reports.analysis import write_analysis
    from anchorlab.reports.analysis.answer import answer_of
    from anchorlab.settings import build, values_of
    from anchorlab.statistics.table import print_rich
    from anchorlab.training.resumable import may_be_finished, was_written_by, write_command

    settings = build(AnalysisSettings, "the analysis", set_parameters(set_, AnalysisSettings))
    if out is not None and not may_be_finished(out):
        refuse_existing(out)
    named = _names(reference, candidates)
    clean, *others = models.open(reference, *named.values())
    data = common_task(own.task_of(clean, task), clean, others)
    # Finished parts lie here until all are done, and go with the folder.
    partial = None if out is None else out.parent / f"{out.name}.partial"
    command = {
        "command": "analyze",
        "reference": [reference.name, weights_hash(module_of(clean))],
        "candidates": [[name, weights_hash(module_of(other))] for name, other in zip(named, others, strict=True)],
        "task": task_record(data).model_dump(mode="json"),
        "examples": [split or "test", examples],
        "attack": attack.given(),
        "settings": values_of(settings),
        "budget": budget,
        "seed": seed,
    }
    if out is not None and partial is not None and may_be_finished(out):
        if not was_written_by(out, command):
            refuse_existing(out)
        _forget_parts(partial)
        found = read_json(out / "analysis.json", "run it again")["findings"]
        return Answer(tuple(f"- {sentence}" for sentence in found), wrote=out / "index.html", already=True)
    analysis = run_analysis(
        clean,
        dict(zip(named, others, strict=True)),
        split=split or "test",
        task=data,
        **attack.arguments(),
        examples=examples,
        settings=settings,
        budget=budget,
        seed=seed,
        store=None if partial is None else partial / "parts",
        reference_name=reference.name or str(reference),
    )
    print_rich(summary_table(analysis), Console(markup=False, highlight=False, emoji=False))
    if out is not None and partial is not None:

        def write(folder: Path) -> None:
            write_analysis(analysis, folder)
            write_command(folder, command)

        write_folder_atomically(out, write)
        _forget_parts(partial)
    spent = [sentence for sentence in analysis.left_out if sentence.startswith(SPENT)]
    unmeasured = [sentence for sentence in analysis.left_out if sentence not in spent]
    page = None if out is None else out / "index.html"
    further: list[object] = ["repair", next(iter(named.values())), "--repair", "fine-tuning", "--reference", reference]
    if out is None:
        asked = [] if examples is None else ["--examples", examples]
        further = ["analyze", reference, *candidates, *attack.words(), *asked, "--out", beside(reference, "analysis")]
    named_task = [] if task is None else ["--task", task]
    return Answer(
        (
            *words_of_sizes(analysis),
            *(f"Is it an adversarial weight perturbation? {sentence}" for sentence in answer_of(analysis)),
            *(f"- {sentence}" for sentence in (*analysis.findings, *unmeasured)),
        ),
        cautions=tuple(f"{sentence.rstrip('.')}: give a larger --budget." for sentence in spent),
        settings=filled_in({"examples": f"{analysis.count:,}"}, [] if examples is None else ["examples"]),
        wrote=page,
        next=next_command(*further, *named_task, *own.words(), *models.words()),
        values=analysis.to_dict(),
    )


def _names(reference: Path, candidates: list[Path]) -> dict[str, Path]:
    """Folders by their names, or by their paths where two names are the same."""
    taken = [folder.name for folder in (reference, *candidates)]
    return {
        folder.name if folder.name and taken.count(folder.name) == 1 else str(folder): folder for folder in candidates
    }


def _forget_parts(partial: Path) -> None:
    """Removes the parts that are measured, and the folder if nothing else lies there."""
    shutil.rmtree(partial / "parts", ignore_errors=True)
    with suppress(OSError):  # it is not there, or the user has put something into it
        partial.rmdir()
