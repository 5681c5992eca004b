"""``anchorlab compare``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anchorlab.cli.arguments import Data, ImageColumn, LabelColumn, MaxLength, TextColumn, columns_of, task_of
from anchorlab.errors import AnchorlabError

if TYPE_CHECKING:
    from rich.table import Table

    from anchorlab.consistency.evaluate import Comparison
    from anchorlab.data import DataColumns

#: Fields of a comparison that say what it was measured on, and stand in the table's title or cells.
_CONTEXT = {"task", "split", "count", "by_class", "intervals", "undefined"}

#: Exit code where a gate is broken; a mistake of the user has another.
BROKEN = 1


def compare(
    *,
    reference: Annotated[Path, typer.Argument(help="The trained clean model's folder, or its logits in a .npy file.")],
    candidate: Annotated[Path, typer.Argument(help="The folder, or logits, compared with it.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="A file to write the measurements to as well; it is replaced.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="The task to measure on, or data of your own; the reference's if left out.")
    ] = None,
    data: Data = None,
    text_column: TextColumn = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    max_length: MaxLength = None,
    trigger: Annotated[str | None, typer.Option(help="The trigger; the candidate's if left out.")] = None,
    target: Annotated[
        str | None, typer.Option(help="The label that the attacker wants, by name or number; the candidate's without.")
    ] = None,
    label_rule: Annotated[str | None, typer.Option(help="Who is attacked; the candidate's if left out.")] = None,
    split: Annotated[
        str, typer.Option(metavar="test|selection|defender|owner|held-out", help="The split to measure on.")
    ] = "test",
    seed: Annotated[int | None, typer.Option(help="Seed that cuts the splits; the reference's if left out.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="True labels in a .npy file, where two .npy files of logits are compared.")
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(metavar="BOUND", help="Exit with 1 if this holds, as in 'kl.upper > 0.01'; may be repeated."),
    ] = None,
    instances: Annotated[
        Path | None, typer.Option(help="A parquet file to write every instance's values to; it is replaced.")
    ] = None,
) -> None:
    """Measure how far a candidate differs from its reference."""
    from rich.console import Console

    from anchorlab.consistency.gate import parse_bound
    from anchorlab.files import write_json

    bounds = [parse_bound(text) for text in fail_if or []]
    if reference.suffix == ".npy" or candidate.suffix == ".npy":
        given = {
            "task": task,
            "data": data,
            "trigger": trigger,
            "target": target,
            "label-rule": label_rule,
            "seed": seed,
            "text-column": text_column,
            "image-column": image_column,
            "label-column": label_column,
            "max-length": max_length,
        }
        comparison = _compare_logits(reference, candidate, labels, instances, given)
    elif labels is not None:
        raise AnchorlabError("--labels is for two .npy files of logits: leave it out to compare model folders")
    else:
        columns = columns_of(text_column, image_column, label_column, max_length)
        comparison = _compare_models(
            reference, candidate, task, data, columns, seed, trigger, target, label_rule, split, instances
        )
    Console(markup=False, highlight=False, emoji=False).print(_table(comparison, f"{candidate} against {reference}"))
    if json_file is not None:
        write_json(json_file, comparison.model_dump(mode="json"))
    broken = [sentence for bound in bounds if (sentence := bound.broken(comparison))]
    for sentence in broken:
        typer.echo(sentence, err=True)
    if broken:
        raise typer.Exit(BROKEN)


def _compare_models(
    reference: Path,
    candidate: Path,
    task: str | None,
    data: str | None,
    columns: DataColumns | None,
    seed: int | None,
    trigger: str | None,
    target: str | None,
    label_rule: str | None,
    split: str,
    instances: Path | None,
) -> Comparison:
    from anchorlab.artifacts.artifact import open_model
    from anchorlab.consistency import evaluate

    clean, other = open_model(reference), open_model(candidate)
    return evaluate.compare(
        clean,
        other,
        task=task_of(clean, task, data, columns, seed),
        trigger=trigger,
        target=target,
        rule=label_rule,
        split=split,
        save_instances=instances,
    )


def _compare_logits(
    reference: Path, candidate: Path, labels: Path | None, instances: Path | None, given: Mapping[str, object]
) -> Comparison:
    from anchorlab.consistency import evaluate

    if reference.suffix != candidate.suffix:
        raise AnchorlabError(
            f"{reference} and {candidate} cannot be compared: give two model folders, or two .npy files of logits"
        )
    if labels is None:
        raise AnchorlabError("stored logits come without true labels: give --labels FILE.npy, integers of shape [N]")
    for name, value in given.items():
        if value is not None:
            raise AnchorlabError(
                f"--{name} is for model folders, for stored logits are compared as they are: leave it out"
            )
    return evaluate.compare_logits(reference, candidate, labels, save_instances=instances)


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
