"""``anchorlab repair``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.following import filled_in, next_command, target_name
from anchorlab.cli.options import (
    AttackOptions,
    DataOptions,
    DefenderData,
    ModelOptions,
    Run,
    Seed,
    TaskOption,
    defender_count,
    set_option,
    set_parameters,
)
from anchorlab.cli.shared import detail


def repair(
    *,
    run: Run,
    repair: Annotated[str, typer.Option(help="The repair, see 'anchorlab list repairs'.")],
    defender_data: DefenderData = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The model folder to write. It must not hold anything yet. Nothing is written if left out."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="The clean model, to measure what the repair leaves of its behaviour."),
    ] = None,
    trusted: Annotated[
        Path | None, typer.Option(help="An earlier version that the defender trusts, for repairs that need one.")
    ] = None,
    relearn: Annotated[
        bool,
        typer.Option(
            "--relearn",
            help="Also tune with 1, 5 and 10 triggered examples: how fast does the backdoor come back?",
        ),
    ] = False,
    stability: Annotated[
        bool,
        typer.Option(
            "--stability",
            help="Also repair with other values of its main settings: how much does the outcome depend on them?",
        ),
    ] = False,
    task: TaskOption = None,
    own: DataOptions,
    models: ModelOptions,
    attack: AttackOptions,
    seed: Seed = 0,
    set_: Annotated[list[str] | None, set_option("the repair", "repairs")] = None,
) -> Answer:
    """Repair a model with the defender's clean examples, and measure what is left of backdoor and behaviour.

    No repair sees --trigger, --target, --label-rule or --reference: they measure the result.
    """
    from anchorlab.artifacts.artifact import load_like
    from anchorlab.artifacts.manifest import task_record
    from anchorlab.artifacts.merge import whole
    from anchorlab.artifacts.provenance import weights_hash
    from anchorlab.artifacts.resolve import common_task, module_of
    from anchorlab.files import refuse_existing
    from anchorlab.repairs.oracles import build_repair, full_name, is_oracle, repair_class
    from anchorlab.repairs.repair import check_repair
    from anchorlab.repairs.repair import repair as repair_model
    from anchorlab.repairs.variations import variations
    from anchorlab.scoring.relearning import Relearning
    from anchorlab.scoring.repair_words import cautions_of_repair, memory_words, words_of_repair
    from anchorlab.scoring.repairs import check_scoring, choose_on_test, score_repair
    from anchorlab.scoring.stability import score_stability, words_of_stability
    from anchorlab.scoring.tables import repair_table
    from anchorlab.settings import values_of
    from anchorlab.training.resumable import is_finished, may_be_finished, save_finished

    if out is not None and not may_be_finished(out):
        refuse_existing(out)
    given = [folder for folder in (run, trusted, reference) if folder is not None]
    opened = {folder: whole(model) for folder, model in zip(given, models.open(*given), strict=True)}
    suspicious = opened[run]
    data = common_task(own.task_of(suspicious, task), suspicious, [])
    parameters, count = set_parameters(set_, repair_class(repair)), defender_count(defender_data, data)
    chosen = build_repair(repair, parameters)
    scoring: dict[str, Any] = {"task": data, **attack.arguments()}
    oracle = is_oracle(repair)
    settings: dict[str, Any] = {
        "parameters": parameters,
        "defender_data": count,
        "task": data,
        "trusted": None if trusted is None else opened[trusted],
        "choose_depth": choose_on_test(suspicious, **scoring, seed=seed) if oracle else None,
        "seed": seed,
    }
    clean = None if reference is None else opened[reference]
    again: dict[str, Any] = {"relearning": Relearning() if relearn else None, "seed": seed}
    check_scoring(suspicious, reference=clean, **scoring, **again)
    name = full_name(repair, chosen)
    if stability:
        variations(chosen, name)
    checked = {key: settings[key] for key in ("defender_data", "task", "trusted", "seed")}
    for model in (suspicious, *([] if clean is None else [clean])):
        check_repair(model, chosen, name, **checked)
    command = {
        "command": "repair",
        "repair": repair,
        "model": weights_hash(module_of(suspicious)),
        "task": task_record(data).model_dump(mode="json"),
        **{name: settings[name] for name in ("parameters", "defender_data", "seed")},
        "trusted": None if trusted is None else weights_hash(module_of(opened[trusted])),
        "attack": attack.given() if oracle else None,
    }
    already = out is not None and is_finished(out, command)
    if out is not None and already:  # scored, and not made again
        repaired = load_like(out, module_of(suspicious))
    else:
        if out is not None:
            refuse_existing(out)
        repaired = repair_model(suspicious, repair, **settings)
        if out is not None:
            repaired = save_finished(repaired, out, command)
    harmed = None if clean is None else repair_model(clean, repair, **settings)
    score = score_repair(suspicious, repaired, reference=clean, harmed=harmed, **scoring, **again)
    detail(f"the repair took {score.seconds:.1f} s{memory_words(score.grown_bytes, score.peak_bytes)}")
    stable = None
    if stability:
        alike = {key: value for key, value in settings.items() if key != "choose_depth"}
        stable = score_stability(suspicious, repair, **alike, **attack.arguments(), repaired=repaired)
    oracles = ("An oracle: test data and trigger chose how deep to prune, which no defender can do.",) if oracle else ()
    known = ["defender_data"] if defender_data is not None else []
    there = len(data.split("defender")) if count is None else count
    further = ("compare", reference or run, out, *own.words(), *models.words()) if out is not None else None
    return Answer(
        (
            *words_of_repair(score, target=target_name(suspicious, data, attack)),
            *(() if stable is None else words_of_stability(stable)),
            *oracles,
        ),
        table=repair_table(score, f"{run} repaired by {repair}"),
        cautions=cautions_of_repair(score, name=repair, others="another of 'anchorlab list repairs'"),
        settings=filled_in({"defender_data": there, **values_of(chosen)}, [*known, *parameters]),
        wrote=out,
        already=already,
        next=None if further is None else next_command(*further),
        values=score.to_dict() | ({} if stable is None else {"stability": stable.to_dict()}),
    )
