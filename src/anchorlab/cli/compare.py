"""``anchorlab compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anchorlab.cli.arguments import Data, Reference

if TYPE_CHECKING:
    from rich.table import Table
    from torch import nn

    from anchorlab.artifacts import Artifact
    from anchorlab.consistency.evaluate import Comparison
    from anchorlab.tasks import Task

#: Fields of a comparison that say what it was measured on, and stand in the table's title or cells.
_CONTEXT = {"task", "split", "count", "intervals", "undefined"}


def compare(
    *,
    reference: Reference,
    candidate: Annotated[Path, typer.Argument(help="The model folder compared with it.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="A file to write the measurements to as well; it is replaced.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="The task to measure on; the reference's if left out.")] = None,
    data: Data = None,
    trigger: Annotated[str | None, typer.Option(help="The trigger; the candidate's if left out.")] = None,
    target: Annotated[
        int | None, typer.Option(help="The label that the attacker wants; the candidate's if left out.")
    ] = None,
    label_rule: Annotated[str | None, typer.Option(help="Who is attacked; the candidate's if left out.")] = None,
    split: Annotated[
        str, typer.Option(metavar="test|selection|defender|owner|held-out", help="The split to measure on.")
    ] = "test",
    seed: Annotated[int | None, typer.Option(help="Seed that cuts the splits; the reference's if left out.")] = None,
) -> None:
    """Measure how far a candidate differs from its reference."""
    from rich.console import Console

    from anchorlab.artifacts import open_model
    from anchorlab.consistency import evaluate
    from anchorlab.files import write_json

    clean, other = open_model(reference), open_model(candidate)
    comparison = evaluate.compare(
        clean,
        other,
        task=_task(clean, task, data, seed),
        trigger=trigger,
        target=target,
        rule=label_rule,
        split=split,
    )
    Console(markup=False, highlight=False, emoji=False).print(_table(comparison, f"{candidate} against {reference}"))
    if json_file is not None:
        write_json(json_file, comparison.model_dump(mode="json"))


def _task(reference: Artifact | nn.Module, name: str | None, data: str | None, seed: int | None) -> Task | None:
    """The reference's task, with what the user says otherwise; None where neither names one."""
    from anchorlab.artifacts import Artifact
    from anchorlab.tasks import load_task

    if not isinstance(reference, Artifact):
        return None if name is None else load_task(name, seed=seed or 0, data=data)
    record = reference.manifest.task
    name, seed = name or record.name, record.seed if seed is None else seed
    if (name, seed) == (record.name, record.seed):
        return reference.task(data)
    return load_task(name, seed=seed, data=record.data if data is None and name == record.name else data)


def _table(comparison: Comparison, title: str) -> Table:
    """A row a measurement: its name, its value, its interval where it has one, and what it is."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"{title}\n{comparison.task}, split {comparison.split}, {comparison.count} clean instances",
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


def _number(value: float | None) -> str:
    if value is None:
        return "undefined"
    return str(value) if isinstance(value, int) else f"{value:#.4g}"
