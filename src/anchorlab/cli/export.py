"""``anchorlab export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.following import next_command
from anchorlab.cli.options import DataOptions, ModelOptions, Out, Seed


def export(
    *,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model folder to export.")],
    out: Out,
    to: Annotated[
        str, typer.Option(metavar="onnx|onnx-int8", help="What the network becomes: float32 or int8, in an ONNX file.")
    ] = "onnx",
    own: DataOptions,
    models: ModelOptions,
    seed: Seed = 0,
) -> Answer:
    """Write a model's network as an ONNX file, to evaluate what is deployed."""
    from anchorlab.artifacts.artifact import Artifact
    from anchorlab.artifacts.deployed import export as export_model
    from anchorlab.errors import AnchorlabError
    from anchorlab.files import refuse_existing
    from anchorlab.models.forms import FORMS, STORED, check_form
    from anchorlab.models.onnx_files import ONNX

    check_form(to, STORED)
    refuse_existing(out)
    (opened,) = models.open(model)
    if not isinstance(opened, Artifact):
        raise AnchorlabError(
            f"{model} has no manifest, so that nothing says what it is: make a folder of it with anchorlab adopt"
        )
    export_model(opened, out, to, task=own.task_of(opened, None), seed=seed)
    size = (out / ONNX).stat().st_size
    return Answer(
        (f"{ONNX}: {size:,} bytes, {FORMS[to]}", opened.manifest.notice),
        wrote=out,
        next=next_command("compare", model, out, *own.words(), *models.words()),
    )
