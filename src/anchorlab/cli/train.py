"""``anchorlab train`` and ``anchorlab adopt``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.options import DataOptions, ModelOptions, Out, Parameters, Seed, TaskName, say_reading


def train(
    *,
    task: TaskName = "digits",
    out: Out,
    model: Annotated[
        str | None,
        typer.Option(
            help="The architecture, see 'anchorlab list models', or a folder or hub name of transformers to train on; "
            "the task's own architecture if left out."
        ),
    ] = None,
    models: ModelOptions,
    own: DataOptions,
    seed: Seed = 0,
    parameters: Parameters = None,
) -> Answer:
    """Train a clean reference. 'anchorlab list training' shows the parameters for --set."""
    from anchorlab.artifacts.manifest import task_record
    from anchorlab.models.architectures import find_architecture
    from anchorlab.settings import build, parse_pairs, values_of
    from anchorlab.training.reference import Training
    from anchorlab.training.reference import train as train_reference
    from anchorlab.training.resumable import run_into

    training = build(Training, "the training", parse_pairs(parameters or [], "--set"))
    loaded = own.load_task(task, seed)
    architecture = model or loaded.definition.architecture
    start = models.start(architecture)
    find_architecture(architecture)  # an unknown name is refused before a folder is made
    settings = {
        "command": "train",
        "task": task_record(loaded).identity(),
        "model": architecture,
        "seed": seed,
        "training": values_of(training.for_task(loaded, architecture)),
    }
    artifact = run_into(
        out,
        settings,
        lambda checkpoint: train_reference(
            loaded, model=start, seed=seed, training=training, checkpoint=checkpoint, on_task=say_reading
        ),
        model=None if isinstance(start, str) else start,
    )
    accuracy = artifact.manifest.measurements["accuracy"]
    return Answer((f"{architecture} on {loaded.name}, accuracy {accuracy:.4f} on selection",), wrote=out)


def adopt(
    *,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A trained classifier: a folder or hub name of transformers.")
    ],
    task: TaskName,
    out: Out,
    kind: Annotated[
        Literal["clean", "suspicious"],
        typer.Option(help="What the model is held to be; one that may carry a backdoor is suspicious."),
    ] = "clean",
    models: ModelOptions,
    own: DataOptions,
    seed: Seed = 0,
) -> Answer:
    """Make a reference, or a suspicious model, of a classifier that somebody else trained."""
    from anchorlab.artifacts.adopt import adopt as adopt_model
    from anchorlab.artifacts.manifest import task_record
    from anchorlab.files import refuse_existing
    from anchorlab.training.resumable import is_finished, may_be_finished, save_finished

    if not may_be_finished(out):
        refuse_existing(out)
    loaded = own.load_task(task, seed)
    artifact = adopt_model(models.start(model), loaded, kind=kind, seed=seed, on_task=say_reading)
    command = {
        "command": "adopt",
        "weights": artifact.manifest.weights_sha256,
        "task": task_record(loaded).model_dump(mode="json"),
        "kind": kind,
        "seed": seed,
    }
    finished = is_finished(out, command)
    if not finished:
        save_finished(artifact, out, command)
    outputs = () if artifact.manifest.outputs is None else (artifact.manifest.outputs,)
    accuracy = artifact.manifest.measurements["accuracy"]
    sentence = f"{model} on {loaded.name}, accuracy {accuracy:.4f} on selection"
    return Answer((sentence, *outputs), wrote=out, already=finished)
