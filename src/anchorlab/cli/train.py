"""``anchorlab train``."""

from __future__ import annotations

from typing import Annotated

import typer

from anchorlab.cli.arguments import Data, Out, Parameters, Seed


def train(
    *,
    task: Annotated[str, typer.Argument(help="The task, see 'anchorlab list tasks'.")] = "digits",
    out: Out,
    model: Annotated[
        str | None, typer.Option(help="The architecture, see 'anchorlab list models'; the task's own without.")
    ] = None,
    data: Data = None,
    seed: Seed = 0,
    parameters: Parameters = None,
) -> None:
    """Train a clean reference. Parameters for --set are shown by 'anchorlab list training'."""
    from anchorlab import training
    from anchorlab.artifacts import task_record
    from anchorlab.models import ARCHITECTURES
    from anchorlab.options import build, parse_pairs, values_of
    from anchorlab.runs import run_into
    from anchorlab.tasks import load_task

    how = build(training.Training, "the training", parse_pairs(parameters or [], "--set"))
    loaded = load_task(task, seed=seed, data=data)
    architecture = model or loaded.definition.architecture
    _ = ARCHITECTURES[architecture]  # an unknown name is refused before a folder is made
    settings = {
        "command": "train",
        "task": task_record(loaded).model_dump(mode="json"),
        "model": architecture,
        "seed": seed,
        "training": values_of(how),
    }
    artifact = run_into(
        out,
        settings,
        lambda checkpoint: training.train(loaded, model=architecture, seed=seed, training=how, checkpoint=checkpoint),
    )
    accuracy = artifact.manifest.measurements["accuracy"]
    typer.echo(f"wrote {out}: {architecture} on {task}, accuracy {accuracy:.4f} on selection")
