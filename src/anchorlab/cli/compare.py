"""``anchorlab compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anchorlab.cli.options import AttackOptions, DataOptions, JsonFile, Split, TaskOption
from anchorlab.errors import AnchorlabError

if TYPE_CHECKING:
    from rich.table import Table

    from anchorlab.consistency.evaluate import Comparison

#: Fields of a comparison that say what it was measured on, and stand in the table's title or cells.
_CONTEXT = {"task", "split", "count", "by_class", "intervals", "undefined"}

#: Exit code where a gate is broken; a mistake of the user has another.
BROKEN = 1


def compare(
    *,
    reference: Annotated[
        Path,
        typer.Argument(metavar="REFERENCE", help="The folder of the clean model, or its logits in a .npy file."),
    ],
    candidate: Annotated[Path, typer.Argument(metavar="CANDIDATE", help="The folder, or logits, to compare with it.")],
    json_file: JsonFile = None,
    task: TaskOption = None,
    own: DataOptions,
    attack: AttackOptions,
    split: Split = "test",
    seed: Annotated[
        int | None, typer.Option(help="Seed that divides the data into splits; the manifest's if left out.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="True labels in a .npy file, to compare two .npy files of logits.")
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(metavar="BOUND", help="Exit with 1 if this holds, as in 'kl.upper > 0.01'; may be repeated."),
    ] = None,
    instances: Annotated[
        Path | None, typer.Option(help="A parquet file to write every instance's values to. It is replaced.")
    ] = None,
) -> None:
    """Measure how far a candidate differs from its reference."""
    from rich.console import Console

    from anchorlab.artifacts.artifact import open_model
    from anchorlab.consistency import evaluate
    from anchorlab.consistency.gate import parse_bound
    from anchorlab.files import write_json

    bounds = [parse_bound(text) for text in fail_if or []]
    if reference.suffix == ".npy" or candidate.suffix == ".npy":
        alone = {"task": task, "seed": seed}
        for_models = {flag: value for flag, value in alone.items() if value is not None} | own.given() | attack.given()
        _check_logits(reference, candidate, labels, for_models)
        comparison = evaluate.compare_logits(reference, candidate, labels, save_instances=instances)
    elif labels is not None:
        raise AnchorlabError("--labels is for two .npy files of logits: leave it out to compare model folders")
    else:
        clean = open_model(reference)
        comparison = evaluate.compare(
            clean,
            open_model(candidate),
            task=own.task_of(clean, task, seed),
            trigger=attack.trigger,
            target=attack.target,
            rule=attack.label_rule,
            split=split,
            save_instances=instances,
        )
    Console(markup=False, highlight=False, emoji=False).print(_table(comparison, f"{candidate} against {reference}"))
    if json_file is not None:
        write_json(json_file, comparison.model_dump(mode="json"))
    broken = [sentence for bound in bounds if (sentence := bound.broken(comparison))]
    for sentence in broken:
        typer.echo(sentence, err=True)
    if broken:
        raise typer.Exit(BROKEN)


def _check_logits(reference: Path, candidate: Path, labels: Path | None, for_models: dict[str, Any]) -> None:
    """Refuses what stored logits cannot be compared with."""
    if reference.suffix != candidate.suffix:
        raise AnchorlabError(
            f"{reference} and {candidate} cannot be compared: give two model folders, or two .npy files of logits"
        )
    if labels is None:
        raise AnchorlabError("stored logits come without true labels: give --labels FILE.npy, integers of shape [N]")
    for flag in for_models:
        raise AnchorlabError(
            f"--{flag} is for model folders, because stored logits are compared as they are: leave it out"
        )


def _table(comparison: Comparison, title: str) -> Table:
    """A row a measurement: its name, its value, its interval where it has one, and what it is."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"{title}\n{_measured_on(comparison)}{comparison.count} clean instances",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("measurement", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95% interval", no_wrap=True)
    table.add_column("what it is")
    for name, field in type(comparison).model_fields.items():
        if name in _CONTEXT:
            continue
        value, interval = getattr(comparison, name), comparison.intervals.get(name)
        table.add_row(
            name,
            _number(value),
            "" if interval is None else f"{interval[0]:.4f}–{interval[1]:.4f}",
            field.description if value is not None else f"{field.description}\n({comparison.undefined[name]})",
        )
    return table


def _measured_on(comparison: Comparison) -> str:
    return f"{comparison.task}, split {comparison.split}, " if comparison.task else ""


def _number(value: float | None) -> str:
    if value is None:
        return "undefined"
    return str(value) if isinstance(value, int) else f"{value:#.4g}"
