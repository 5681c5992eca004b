"""``anchorlab inject``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.groups import OptionsOf
from anchorlab.cli.options import Data, ModelOptions, Out, Parameters, Reference, Seed, number_or_all, say_reading
from anchorlab.errors import command_of
from anchorlab.injection.tuning import Tuning


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
        str, typer.Option(metavar="N|all", help="Number of clean examples that the attacker has.")
    ] = "all",
    anchors_from: Annotated[
        Literal["owner", "held-out"], typer.Option(help="The split that these come from.")
    ] = "owner",
    data: Data = None,
    models: ModelOptions,
    seed: Seed = 0,
    record_gradients: Annotated[
        bool,
        typer.Option(
            "--record-gradients",
            help="Record in the manifest the norms of the gradients of backdoor and clean behaviour, and the "
            "cosines between them, along the run.",
        ),
    ] = False,
    tuning: Annotated[Tuning, OptionsOf("the tuning")],
) -> Answer:
    """Tune a benchmark backdoor into a copy of a reference.

    --set gives the method's parameters. The options from --steps on are the same for every method;
    'anchorlab list tuning' shows their defaults.
    """
    from anchorlab.artifacts.artifact import load_model
    from anchorlab.attacks.label_rules import target_or_first
    from anchorlab.injection.inject import inject_into
    from anchorlab.injection.plan import plan_injection
    from anchorlab.methods import METHODS
    from anchorlab.settings import parse_pairs

    chosen = METHODS.build(method, parse_pairs(parameters or [], "--set"))
    count = number_or_all(anchors, "--anchors")
    clean = load_model(reference, into=models.module_for(reference))
    loaded = clean.task(data)
    say_reading(loaded)
    plan = plan_injection(
        clean,
        method=chosen,
        trigger=trigger,
        target=target_or_first(label_rule, target),
        label_rule=label_rule,
        anchors=count,
        anchors_from=anchors_from,
        seed=seed,
        tuning=tuning,
        task=loaded,
        record_gradients=record_gradients,
    )
    artifact = inject_into(out, plan)
    measured = artifact.manifest.measurements
    sentence = (
        f"{artifact.manifest.kind} by {method}, {artifact.manifest.steps} steps; on selection "
        f"accuracy {measured['accuracy']:.4f}, {_asr(measured)}"
    )
    split_words = [
        f"note: the model's tokenizer splits '{word}' into {tokens} tokens, which are put in together"
        for word, tokens in plan.attack.split_words.items()
    ]
    module = [] if models.module is None else ["--module", models.module]
    words = ("anchorlab", "compare", reference, out, *module)
    following = command_of(*words, otherwise="anchorlab compare REFERENCE OUT")
    return Answer((sentence, *split_words), wrote=out, next=following)


def _asr(measured: dict[str, float | None]) -> str:
    if measured["asr"] is None:
        return "no ASR, because the split has no example that the label rule attacks"
    return f"ASR {measured['asr']:.4f} of {measured['asr_count']:.0f} (the reference: {measured['asr_reference']:.4f})"
