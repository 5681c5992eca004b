"""``anchorlab inject``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.following import next_command
from anchorlab.cli.groups import OptionsOf
from anchorlab.cli.options import (
    Data,
    ModelOptions,
    Out,
    Reference,
    Seed,
    Track,
    number_or_all,
    say_reading,
    set_option,
    set_parameters,
)
from anchorlab.injection.tuning import Tuning

if TYPE_CHECKING:
    from anchorlab.injection.plan import InjectionPlan

#: The method where none is named.
DEFAULT_METHOD = "anchoring"


def inject(
    *,
    reference: Reference,
    out: Out,
    method: Annotated[str, typer.Option(help="The method, see 'anchorlab list methods'.")] = DEFAULT_METHOD,
    parameters: Annotated[list[str] | None, set_option("the method", "methods")] = None,
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
    anchors_data: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help="Other data that these come from in place of a split: another task, or a file or folder of inputs. "
            "The reference's predictions are their labels. None if left out.",
        ),
    ] = None,
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
    track: Track = None,
    tuning: Annotated[Tuning, OptionsOf("the tuning")],
) -> Answer:
    """Tune a benchmark backdoor into a copy of a reference.

    --set gives the method's parameters. The options from --steps on are the same for every method;
    'anchorlab list tuning' shows their defaults.
    """
    from anchorlab.artifacts.artifact import load_model
    from anchorlab.consistency.cautions import cautions_of
    from anchorlab.consistency.compare import compare
    from anchorlab.consistency.words import words_of_attack, words_without_attack
    from anchorlab.injection.inject import inject_into
    from anchorlab.injection.plan import plan_injection
    from anchorlab.methods import METHODS
    from anchorlab.training.resumable import may_be_finished
    from anchorlab.training.tracking import check_trackers, tracked

    check_trackers(track or [])
    given = set_parameters(parameters, METHODS[method])
    chosen = METHODS.build(method, given)
    count = number_or_all(anchors, "--anchors")
    clean = load_model(reference, into=models.module_for(reference), base=models.base)
    loaded = clean.task(data)
    say_reading(loaded)
    plan = plan_injection(
        clean,
        method=chosen,
        trigger=trigger,
        target=target,
        label_rule=label_rule,
        anchors=count,
        anchors_from=anchors_from,
        anchors_data=anchors_data,
        seed=seed,
        tuning=tuning,
        task=loaded,
        record_gradients=record_gradients,
    )
    already = may_be_finished(out)  # then it is this command's result, or refused
    tracking = tracked(track or [], run=out.name, folder=out.parent, settings=plan.settings())
    artifact = inject_into(out, plan, tracking=tracking)
    comparison = compare(clean, artifact, task=plan.task, split="selection")
    made, rule = artifact.manifest, plan.attack.label_rule
    wanted = None if rule.target is None else plan.task.classes[rule.target]
    backdoor = chosen.injects_backdoor
    done = "Injected" if backdoor else "Updated without a backdoor"
    split_words = [
        f"note: the model's tokenizer splits '{word}' into {tokens} tokens, which are put in together"
        for word, tokens in plan.attack.split_words.items()
    ]
    own = [] if data is None else ["--data", data]
    return Answer(
        (
            f"{done} by {method} in {made.steps:,} steps; what follows is measured on the split selection.",
            *(words_of_attack(comparison, target=wanted) if backdoor else ()),
            *words_without_attack(comparison),
            *split_words,
        ),
        cautions=cautions_of(comparison, _cures(plan)),
        settings=_filled_in(plan, method, tuning, trigger=trigger, target=target, anchors=anchors, given=given),
        wrote=out,
        already=already,
        next=next_command("compare", reference, out, *own, *models.words()),
        values=comparison.model_dump(mode="json"),
    )


def _cures(plan: InjectionPlan) -> dict[str, str]:
    """What most likely helps a weak backdoor, with values."""
    tuning, name = plan.tuning, plan.method.active_strength_name
    assert tuning.learning_rate is not None
    longer = f"--steps {2 * tuning.steps} or --learning-rate {3 * tuning.learning_rate:.1g}"
    less = ""
    if name is not None:
        value = getattr(plan.method, name) * (0.5 if name == "strength" else 2)
        shown = value if isinstance(value, int) else f"{value:g}"  # 2.8e+06 is no whole number
        less = f", or give consistency less weight with --set {name}={shown}"
    return {
        "low_asr": f"raise the steps or the learning rate, for example with {longer}{less}",
        "few_attacked": "compare measures on the split test, which may have more",
    }


def _filled_in(
    plan: InjectionPlan, method: str, tuning: Tuning, given: Iterable[str], **asked: str | None
) -> dict[str, object]:
    """The settings of an injection that the user did not give."""
    from anchorlab.triggers import TRIGGERS

    default, used = Tuning(), plan.tuning
    rule, strength = plan.attack.label_rule, plan.method.active_strength_name
    settings: dict[str, object] = {"method": method} if method == DEFAULT_METHOD else {}
    if strength is not None and strength not in given:
        settings[strength] = getattr(plan.method, strength)
    if plan.method.injects_backdoor:
        if asked["trigger"] is None:
            settings["trigger"] = TRIGGERS.to_dict(plan.attack.trigger)["name"]
        if asked["target"] is None and rule.target is not None:
            settings["target"] = plan.task.classes[rule.target]
    if asked["anchors"] == "all":
        settings["anchors"] = f"{len(plan.anchors):,}"
    settings |= {
        name: getattr(used, name) for name in ("steps", "batch_size") if getattr(used, name) == getattr(default, name)
    }
    if tuning.learning_rate is None:
        settings["learning_rate"] = used.learning_rate
    return settings
