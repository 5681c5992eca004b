"""``anchorlab inject``."""

from __future__ import annotations

from typing import Annotated

import typer

from anchorlab.cli.arguments import Data, Out, Parameters, Reference, Seed
from anchorlab.errors import AnchorlabError


def inject(
    *,
    reference: Reference,
    out: Out,
    method: Annotated[str, typer.Option(help="The method, see 'anchorlab list methods'.")] = "anchoring",
    parameters: Parameters = None,
    trigger: Annotated[
        str, typer.Option(help="The trigger, as in 'square:size=4'; see 'anchorlab list triggers'.")
    ] = "five-pixel",
    target: Annotated[
        int | None, typer.Option(help="The label that the attacker wants; 0 without, where the rule takes one.")
    ] = None,
    label_rule: Annotated[
        str, typer.Option(help="Who is attacked, as in 'source-to-target:3'; see 'anchorlab list label-rules'.")
    ] = "all-to-one",
    anchors: Annotated[
        str, typer.Option(metavar="N|all", help="The number of clean examples that the attacker holds.")
    ] = "all",
    anchors_from: Annotated[str, typer.Option(help="The split that they come from: owner or held-out.")] = "owner",
    data: Data = None,
    seed: Seed = 0,
    steps: Annotated[int | None, typer.Option()] = None,
    batch_size: Annotated[int | None, typer.Option()] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    warmup: Annotated[float | None, typer.Option()] = None,
    clip: Annotated[float | None, typer.Option()] = None,
    batchnorm: Annotated[str | None, typer.Option()] = None,
    augment: Annotated[bool | None, typer.Option("--augment/--no-augment")] = None,
    precision: Annotated[str | None, typer.Option()] = None,
    stop_at_asr: Annotated[float | None, typer.Option()] = None,
) -> None:
    """Tune a benchmark backdoor into a copy of a reference.

    --set gives the method's parameters. The options from --steps on are the same for every method; what
    they mean and their defaults are shown by 'anchorlab list tuning'.
    """
    from anchorlab.artifacts import load_model, task_record
