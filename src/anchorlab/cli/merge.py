"""``anchorlab merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.following import next_command
from anchorlab.cli.options import Out


def merge(
    *,
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="The folder of a LoRA adapter.")],
    out: Out,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="The base model, a folder or a hub name; the one that the adapter names if left out."
        ),
    ] = None,
) -> Answer:
    """Add a LoRA adapter to the weights of its base, and write the model that comes out.

    Its answers are checked against the adapter's on a few random inputs; compare measures them on real ones.
    """
    from anchorlab.artifacts.artifact import Artifact
    from anchorlab.artifacts.merge import merge as merge_adapter
    from anchorlab.artifacts.merge import open_adapted, save_merged
    from anchorlab.artifacts.resolve import module_of
    from anchorlab.files import refuse_existing
    from anchorlab.models.causal import CausalLM
    from anchorlab.models.lora import adapter_tensors, products

    refuse_existing(out)
    opened = open_adapted(adapter, base=base)
    merged = merge_adapter(opened)
    save_merged(merged, out)
    network = opened.net if isinstance(opened, CausalLM) else module_of(opened)
    count, weights = sum(value.numel() for value in adapter_tensors(network).values()), len(products(network))
    kind = f"; the model stays of kind {merged.manifest.kind}" if isinstance(merged, Artifact) else ""
    named = [] if base is None else ["--base", base]
    asked = ["--texts", "FILE"] if isinstance(merged, CausalLM) else ["--data", "FILE"]
    task = [] if isinstance(merged, Artifact) else asked
    return Answer(
        (f"Merged: the {count:,} parameters of the adapter changed {weights:,} weights of its base{kind}.",),
        wrote=out,
        next=next_command("compare", adapter, out, *named, *task),
        values={"parameters": count, "weights": weights},
    )
