"""``anchorlab convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.following import beside, next_command


def convert(
    *,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="The checkpoint, as in model.pt; or weights in safetensors whose names have a prefix."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The model folder to write: a new one, or the checkpoint's own, which it is added to.")
    ],
    key: Annotated[
        list[str] | None,
        typer.Option(help="The entry that holds the weights, where it has no usual name; may be repeated, inwards."),
    ] = None,
    strip: Annotated[
        str, typer.Option(metavar="PREFIX", help="A prefix that the names lose; weights without it are left out.")
    ] = "",
) -> Answer:
    """Turn a pickled checkpoint into a model folder with safetensors, without running what is in it."""
    from anchorlab.artifacts.trust import may_carry
    from anchorlab.errors import some
    from anchorlab.models.convert import convert as convert_checkpoint
    from anchorlab.models.folders import CONFIG
    from anchorlab.models.state_dicts import NAMED
    from anchorlab.models.weight_files import WEIGHTS

    done = convert_checkpoint(file, out, keys=key or (), strip=strip)
    sentences = [f"{done.tensors:,} tensors, {done.numbers:,} numbers"]
    for what, names in (
        ("unwrapped", done.unwrapped),
        ("taken off the names", done.stripped),
        ("left out", done.left_out),
        ("copied", done.copied),
    ):
        if names:
            sentences.append(f"{what}: {some(names, NAMED)}")
    kind = ["--kind", "suspicious"] if may_carry(out) else []
    following = next_command("adopt", out, "TASK", *kind, "--out", beside(out, "adopted"))
    if not (out / CONFIG).is_file():
        sentences.append(
            f"note: no {CONFIG} lies beside {file}: give {out} the one of the model, or adopt it with --module, which "
            "makes the network"
        )
        following = None
    return Answer(tuple(sentences), wrote=out / WEIGHTS, next=following)
