"""``anchorlab detect``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.commands import show
from anchorlab.cli.following import beside, data_words, model_words, next_command
from anchorlab.cli.options import (
    AttackOptions,
    DataOptions,
    DefenderData,
    FormOptions,
    ModelOptions,
    Run,
    Seed,
    TaskOption,
    defender_count,
    number_or_all,
    set_option,
    set_parameters,
)
from anchorlab.cli.ranking import check_ranking, rank_inputs
from anchorlab.cli.shared import detail, is_verbose
from anchorlab.errors import AnchorlabError

if TYPE_CHECKING:
    from torch import nn

    from anchorlab.artifacts.artifact import Artifact
    from anchorlab.data import Task


#: Ranked inputs that are shown, and clean test inputs that are scored, unless others are asked for.
_SHOWN, _MEASURED = 20, 500


def detect(
    *,
    run: Run,
    detector: Annotated[
        list[str] | None,
        typer.Option(
            help="A detector, see 'anchorlab list detectors'; may be repeated. With --inputs, all that fit if left out."
        ),
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Rank the rows of this file, or the images of this folder, by suspicion; they need no labels.",
        ),
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="How many of the ranked inputs are shown; 20 if left out.")
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER", help="A clean model, whose scores are shown beside the model's; may be repeated."
        ),
    ] = None,
    defender_data: DefenderData = None,
    examples: Annotated[
        str | None,
        typer.Option(metavar="N|all", help="Clean test inputs that a detector of inputs scores; 500 if left out."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="A folder for a page, with one folder a detector: detection.json, every score or all that was tried, "
            "and the triggers that it found."
        ),
    ] = None,
    task: TaskOption = None,
    own: DataOptions,
    models: ModelOptions,
    form: FormOptions,
    attack: AttackOptions,
    seed: Seed = 0,
    set_: Annotated[list[str] | None, set_option("the detector", "detectors")] = None,
) -> Answer:
    """Score how suspicious a model looks, or how well a detector tells triggered inputs from clean ones.

    With --inputs, no trigger need be known: the rows of a file are ranked by how suspicious they look.

    No detector sees --trigger, --target or --label-rule: they make the triggered inputs that it is measured on.
    """
    from anchorlab.artifacts.resolve import check_trusted, common_task
    from anchorlab.cli.detections import (
        cautions_of_scores,
        detection_table,
        scanner_failed,
        values_of_detections,
        words_of_inputs,
        words_of_model,
    )
    from anchorlab.detectors import DETECTORS
    from anchorlab.detectors.base import ModelDetector
    from anchorlab.files import check_folder, write_json
    from anchorlab.reports.detection import (
        OF_MODEL,
        check_one_model,
        model_record,
        write_input_score,
        write_model_score,
    )
    from anchorlab.reports.detections_page import check_detections_folder, write_detections_page
    from anchorlab.scoring.detect import check_detectors, score_inputs, score_model

    detector = detector or []
    check_ranking(inputs, detector, attack.given())
    if set_ and len(detector) != 1:
        raise AnchorlabError(f"--set is for one detector, but {len(detector)} are asked: ask for one")
    if inputs is not None and reference:
        raise AnchorlabError("--reference is for detectors of models, and --inputs ranks inputs: leave one of them out")
    detectors = {name: DETECTORS.build(name, set_parameters(set_, DETECTORS[name])) for name in detector}
    of_models = {name: built for name, built in detectors.items() if isinstance(built, ModelDetector)}
    of_inputs = {name: built for name, built in detectors.items() if not isinstance(built, ModelDetector)}
    if reference and not of_models:
        raise AnchorlabError(f"{detector[0]} scores inputs and needs no clean model: leave --reference out")
    if top is not None and inputs is None:
        raise AnchorlabError("--top is for inputs that are ranked: give their file as --inputs, or leave --top out")
    if examples is not None and (inputs is not None or not of_inputs):
        raise AnchorlabError(
            "--examples is for a detector of inputs that is measured on test inputs: ask for such a --detector without "
            "--inputs ('anchorlab list detectors' names them), or leave --examples out"
        )
    check_folder(out)
    suspicious, *clean = models.open(run, *(reference or []))
    for each in clean:
        check_trusted(each, "a clean model for --reference")
    # Without data of their own, the options say where the inputs are in their file, and the model's data stay.
    of_inputs_alone = inputs is not None and task is None and own.data is None
    if of_inputs_alone and own.max_length is not None:
        raise AnchorlabError(
            "--max-length is for --data or --task, and --inputs are cut where the model's own data are: leave it out, "
            "or name the data too"
        )
    data = common_task((DataOptions() if of_inputs_alone else own).task_of(suspicious, task), suspicious, clean)
    examined = model_record(suspicious, form.words_after().strip())
    suspicious = form.apply(suspicious, data)
    clean = [form.apply(each, data) for each in clean]
    count = defender_count(defender_data, data)
    if inputs is not None:
        return rank_inputs(
            suspicious,
            inputs,
            detectors,
            name=run.name,
            top=_SHOWN if top is None else top,
            defender_data=count,
            task=data,
            columns=own.columns() if of_inputs_alone else None,
            out=out,
            seed=seed,
        )
    if not of_inputs and attack.given():
        raise AnchorlabError(f"{detector[0]} scores models and needs no attack: leave --trigger and --target out")
    shared: dict[str, Any] = {"defender_data": count, "task": data, "seed": seed}
    check_detectors(suspicious, list(detectors.values()), **shared, **attack.arguments())
    for other in clean:
        check_detectors(other, list(of_models.values()), **shared)
    if out is not None:
        check_detections_folder(out)
        check_one_model(out, examined)
    model_scores, clean_scores = {}, {}
    for name, built in of_models.items():
        model_scores[name] = score_model(suspicious, built, **shared)
        clean_scores[name] = [score_model(other, built, **shared) for other in clean]
        if out is not None:
            write_model_score(model_scores[name], name, suspicious, data, out / name)
    input_scores = {}
    if of_inputs:
        scored = score_inputs(
            suspicious,
            list(of_inputs.values()),
            **shared,
            **attack.arguments(),
            examples=_MEASURED if examples is None else number_or_all(examples, "--examples"),
        )
        input_scores = dict(zip(of_inputs, scored, strict=True))
        for name, found in input_scores.items():
            detail(f"{name}: {found.seconds:.1f} s, peak memory {found.peak_bytes / 2**30:.2f} GiB")
            if out is not None:
                write_input_score(found, name, out / name)
    if out is not None:
        write_json(out / OF_MODEL, examined)
        write_detections_page(out, out)
    if is_verbose():
        for name, score in model_scores.items():
            if len(score.details):
                show(score.details_table(f"{name}: what was tried"))
    known = len(data.split("defender")) if count is None else count
    options = [*([] if task is None else ["--task", task]), *own.words(), *models.words()]
    failed = any(scanner_failed(score, clean_scores[name]) for name, score in model_scores.items())
    caption = f"{run}, judged with {known:,} clean examples of {data.name}"
    return Answer(
        (
            *(line for name, score in model_scores.items() for line in words_of_model(name, score, clean_scores[name])),
            *(line for name, found in input_scores.items() for line in words_of_inputs(name, found)),
        ),
        table=detection_table(caption, model_scores, clean_scores, input_scores),
        cautions=cautions_of_scores(model_scores, len(clean), input_scores),
        settings={} if defender_data is not None else {"defender_data": known},
        wrote=out,
        next=_following(run, suspicious, data, options, model_scores, has_clean=bool(clean)),
        values=values_of_detections(model_scores, clean_scores, input_scores),
        code=2 if failed else 0,
    )


def _following(
    run: Path,
    model: Artifact | nn.Module,
    task: Task,
    options: list[object],
    of_models: Mapping[str, object],
    *,
    has_clean: bool,
) -> str | None:
    """Clean models to compare a score with, where there are none yet; else a repair."""
    if of_models and not has_clean and "command" not in of_models:
        words = [word for name in of_models for word in ("--detector", name)]
        alike = model_words(model, task)
        return next_command("population", *data_words(task), *alike, *words, "--out", beside(run, "population"))
    return next_command("repair", run, "--repair", "fine-tuning", *options, "--out", beside(run, "repaired"))
