"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from torch import nn

    from anchorlab.artifacts.artifact import Artifact
    from anchorlab.data import DataColumns, Task

TaskName = Annotated[
    str,
    typer.Argument(
        metavar="TASK",
        help="The task, see 'anchorlab list tasks'; or data of your own: a file, a folder, or a hub name.",
    ),
]
TextColumn = Annotated[str | None, typer.Option(help="The column of texts, in data of your own.")]
ImageColumn = Annotated[
    str | None, typer.Option(help="The column of images, in data of your own; 'image' in a folder of images.")
]
LabelColumn = Annotated[
    str | None, typer.Option(help="The column of labels, in data of your own; 'label' if left out.")
]
MaxLength = Annotated[
    int | None, typer.Option(help="Most tokens of a text, in data of your own; the model's limit if left out.")
]

Out = Annotated[Path, typer.Option(help="The model folder to write; it must not hold anything yet.")]
Data = Annotated[
    str | None, typer.Option(help="Where the task's data are, if not in the usual place: a folder, or a hub name.")
]
Seed = Annotated[int, typer.Option(help="Seed of all random draws.")]
Reference = Annotated[Path, typer.Argument(help="The model folder of the trained clean model.")]
Parameters = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Sets a parameter; may be repeated.")
]


def columns_of(
    text_column: str | None, image_column: str | None, label_column: str | None, max_length: int | None
) -> DataColumns | None:
    """What is where in the user's own data; None where nothing is said.

    Raises:
        AnchorlabError: if a column of labels is named, but neither one of texts nor one of images, or both are.
    """
    from anchorlab.data import DataColumns
    from anchorlab.settings import build

    told = {"text": text_column, "image": image_column, "label": label_column, "max_length": max_length}
    given = {name: value for name, value in told.items() if value is not None}
    return build(DataColumns, "own data", given) if given else None


def task_of(
    reference: Artifact | nn.Module, name: str | None, data: str | None, columns: DataColumns | None, seed: int | None
) -> Task | None:
    """The reference's task, with what the user says otherwise; None where neither names one."""
    from anchorlab.artifacts.artifact import Artifact
    from anchorlab.data import DataColumns, load_task

    if not isinstance(reference, Artifact):
        return None if name is None else load_task(name, seed=seed or 0, data=data, columns=columns)
    record = reference.manifest.task
    seed = record.seed if seed is None else seed
    if name is None or name == record.name:
        if seed == record.seed and columns is None:
            return reference.task(data)
        if columns is None and record.columns is not None:
            columns = DataColumns(**record.columns)
        return load_task(record.name, seed=seed, data=data or record.data, columns=columns)
    return load_task(name, seed=seed, data=data, columns=columns)
