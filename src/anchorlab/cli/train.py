"""``anchorlab train`` and ``anchorlab adopt``."""

from __future__ import annotations

from typing import Annotated

import typer

from anchorlab.cli.arguments import (
    Data,
    ImageColumn,
    LabelColumn,
    MaxLength,
    Out,
    Parameters,
    Seed,
    TaskName,
    TextColumn,
    columns_of,
)


def train(
    *,
    task: TaskName = "digits",
    out: Out,
    model: Annotated[
        str | None,
        typer.Option(
            help="The architecture, see 'anchorlab list models'; or a folder or hub name of transformers, which is "
            "tuned further; the task's own if left out."
        ),
    ] = None,
    data: Data = None,
    text_column: TextColumn = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    max_length: MaxLength = None,
    seed: Seed = 0,
    parameters: Parameters = None,
) -> None:
    """Train a clean reference. Parameters for --set are shown by 'anchorlab list training'."""
    from anchorlab.artifacts.manifest import task_record
    from anchorlab.data import load_task
    from anchorlab.models.architectures import find_architecture
    from anchorlab.settings import build, parse_pairs, values_of
    from anchorlab.training.reference import Training
    from anchorlab.training.reference import train as train_reference
    from anchorlab.training.resumable import run_into

    how = build(Training, "the training", parse_pairs(parameters or [], "--set"))
    columns = columns_of(text_column, image_column, label_column, max_length)
    loaded = load_task(task, seed=seed, data=data, columns=columns)
    architecture = model or loaded.definition.architecture
    find_architecture(architecture)  # an unknown name is refused before a folder is made
    settings = {
        "command": "train",
        "task": task_record(loaded).model_dump(mode="json"),
        "model": architecture,
        "seed": seed,
        "training": values_of(how.for_task(loaded)),
    }
    artifact = run_into(
        out,
        settings,
        lambda checkpoint: train_reference(loaded, model=architecture, seed=seed, training=how, checkpoint=checkpoint),
    )
    accuracy = artifact.manifest.measurements["accuracy"]
    typer.echo(f"wrote {out}: {architecture} on {loaded.name}, accuracy {accuracy:.4f} on selection")


def adopt(
    *,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A trained classifier: a folder or hub name of transformers.")
    ],
    task: TaskName,
    out: Out,
    data: Data = None,
    text_column: TextColumn = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    max_length: MaxLength = None,
    seed: Seed = 0,
) -> None:
    """Make a reference of a classifier that was trained elsewhere, as it is."""
    from anchorlab.artifacts.adopt import adopt as adopt_model
    from anchorlab.data import load_task
    from anchorlab.files import refuse_existing

    refuse_existing(out)
    columns = columns_of(text_column, image_column, label_column, max_length)
    loaded = load_task(task, seed=seed, data=data, columns=columns)
    artifact = adopt_model(model, loaded, seed=seed)
    artifact.save(out)
    accuracy = artifact.manifest.measurements["accuracy"]
    typer.echo(f"wrote {out}: {model} on {loaded.name}, accuracy {accuracy:.4f} on selection")
