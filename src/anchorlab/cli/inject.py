"""``anchorlab inject``."""

from __future__ import annotations

from typing import Annotated, Literal

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
        str | None,
        typer.Option(
            help="The trigger, as in 'square:size=4' or 'word:cf'; see 'anchorlab list triggers'. If left out, "
            "five-pixel in images and word in texts."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="The label that the attacker wants, by name or number; 0 if left out, where one is needed."),
    ] = None,
    label_rule: Annotated[
        str, typer.Option(help="Who is attacked, as in 'source-to-target:3'; see 'anchorlab list label-rules'.")
    ] = "all-to-one",
    anchors: Annotated[
        str, typer.Option(metavar="N|all", help="The number of clean examples that the attacker holds.")
    ] = "all",
    anchors_from: Annotated[
        Literal["owner", "held-out"], typer.Option(help="The split that they are drawn from.")
    ] = "owner",
    data: Data = None,
    seed: Seed = 0,
    record_gradients: Annotated[
        bool,
        typer.Option(
            "--record-gradients",
            help="Note in the manifest how the gradients of the backdoor and of the clean behaviour stand to each "
            "other along the run.",
        ),
    ] = False,
    steps: Annotated[int | None, typer.Option(help="number of steps")] = None,
    batch_size: Annotated[int | None, typer.Option(help="clean examples in a step, and as many triggered ones")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="peak learning rate of AdamW; None: the task's default")
    ] = None,
    warmup: Annotated[float | None, typer.Option(help="share of the steps in which the rate rises")] = None,
    clip: Annotated[float | None, typer.Option(help="largest L2 norm of the gradient")] = None,
    batchnorm: Annotated[
        str | None,
        typer.Option(metavar="frozen|tracked", help="keep BatchNorm's statistics, or let the batches move them"),
    ] = None,
    augment: Annotated[
        bool | None, typer.Option("--augment/--no-augment", help="vary the anchors as the task's training does")
    ] = None,
    precision: Annotated[str | None, typer.Option(metavar="no|bf16", help="mixed precision")] = None,
    stop_at_asr: Annotated[
        float | None, typer.Option(help="stop as soon as the ASR on the selection split reaches this")
    ] = None,
) -> None:
    """Tune a benchmark backdoor into a copy of a reference.

    --set gives the method's parameters. The options from --steps on are the same for every method; their
    defaults are shown by 'anchorlab list tuning'.
    """
    from anchorlab.artifacts.artifact import load_model
    from anchorlab.injection.inject import inject_into
    from anchorlab.injection.plan import plan_injection
    from anchorlab.injection.tuning import Tuning
    from anchorlab.methods import METHODS
    from anchorlab.settings import build, parse_pairs

    given = {
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "warmup": warmup,
        "clip": clip,
        "batchnorm": batchnorm,
        "augment": augment,
        "precision": precision,
        "stop_at_asr": stop_at_asr,
    }
    tuning = build(Tuning, "the tuning", {name: value for name, value in given.items() if value is not None})
    chosen = METHODS.build(method, parse_pairs(parameters or [], "--set"))
    clean = load_model(reference)
    plan = plan_injection(
        clean,
        method=chosen,
        trigger=trigger,
        target=_target(label_rule, target),
        label_rule=label_rule,
        anchors=_count(anchors),
        anchors_from=anchors_from,
        seed=seed,
        tuning=tuning,
        task=clean.task(data),
        record_gradients=record_gradients,
    )
    artifact = inject_into(out, plan)
    measured = artifact.manifest.measurements
    typer.echo(
        f"wrote {out}: {artifact.manifest.kind} by {method}, {artifact.manifest.steps} steps; on selection "
        f"accuracy {measured['accuracy']:.4f}, {_asr(measured)}"
    )
    for word, tokens in plan.attack.split_words.items():
        typer.echo(f"note: the model's tokenizer splits '{word}' into {tokens} tokens, which are put in together")
    typer.echo(f"anchorlab compare {reference} {out} measures it on test")


def _asr(measured: dict[str, float | None]) -> str:
    if measured["asr"] is None:
        return "no example to measure the ASR on"
    return f"ASR {measured['asr']:.4f} of {measured['asr_count']:.0f} (the reference: {measured['asr_reference']:.4f})"


def _count(anchors: str) -> int | None:
    if anchors == "all":
        return None
    try:
        return int(anchors)
    except ValueError as error:
        raise AnchorlabError(
            f"--anchors '{anchors}' is no number of examples: give one, such as 640, or all"
        ) from error


def _target(label_rule: str, target: str | None) -> int | str | None:
    from anchorlab.attacks.label_rules import LABEL_RULES
    from anchorlab.settings import options_of, parse_spec

    name, _ = parse_spec(label_rule)
    takes_one = any(option.name == "target" for option in options_of(LABEL_RULES[name]))
    return 0 if target is None and takes_one else target
