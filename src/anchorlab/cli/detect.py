"""``anchorlab detect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.commands import say, show
from anchorlab.cli.options import (
    AttackOptions,
    DataOptions,
    DefenderData,
    ModelOptions,
    Parameters,
    Run,
    Seed,
    TaskOption,
    number_or_all,
)
from anchorlab.cli.ranking import check_ranking, rank_inputs
from anchorlab.errors import AnchorlabError

if TYPE_CHECKING:
    from anchorlab.detectors.base import ModelScore
    from anchorlab.scoring.input_score import InputScore


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
    top: Annotated[int, typer.Option(min=1, help="How many of the ranked inputs are shown.")] = 20,
    defender_data: DefenderData = "640",
    examples: Annotated[
        str, typer.Option(metavar="N|all", help="Clean test inputs that a detector of inputs scores.")
    ] = "500",
    out: Annotated[
        Path | None,
        typer.Option(
            help="A folder to write to, with one folder a detector: detection.json, every score or all that was tried, "
            "and the triggers that it found."
        ),
    ] = None,
    task: TaskOption = None,
    own: DataOptions,
    models: ModelOptions,
    attack: AttackOptions,
    seed: Seed = 0,
    set_: Parameters = None,
) -> Answer:
    """Score how suspicious a model looks, or how well a detector tells triggered inputs from clean ones.

    With --inputs, no trigger need be known: the rows of a file are ranked by how suspicious they look.

    No detector sees --trigger, --target or --label-rule: they make the triggered inputs that it is measured on.
    """
    from anchorlab.detectors import DETECTORS
    from anchorlab.detectors.base import ModelDetector
    from anchorlab.files import check_folder
    from anchorlab.reports.detection import write_input_score, write_model_score
    from anchorlab.scoring.detect import score_inputs, score_model
    from anchorlab.settings import parse_pairs

    detector = detector or []
    check_ranking(inputs, detector, attack.given())
    if set_ and len(detector) != 1:
        raise AnchorlabError(f"--set is for one detector, but {len(detector)} are asked: ask for one")
    detectors = {name: DETECTORS.build(name, parse_pairs(set_ or [], "--set")) for name in detector}
    of_models = {name: built for name, built in detectors.items() if isinstance(built, ModelDetector)}
    of_inputs = {name: built for name, built in detectors.items() if not isinstance(built, ModelDetector)}
    check_folder(out)
    (suspicious,) = models.open(run)
    data = own.task_of(suspicious, task)
    count = number_or_all(defender_data, "--defender-data")
    if inputs is not None:
        return rank_inputs(
            suspicious,
            inputs,
            detectors,
            name=run.name,
            top=top,
            defender_data=count,
            task=data,
            columns=own.columns(),
            out=out,
            seed=seed,
        )
    if not of_inputs and attack.given():
        raise AnchorlabError(f"{detector[0]} scores models and needs no attack: leave --trigger and --target out")
    for name, model_detector in of_models.items():
        score = score_model(suspicious, model_detector, defender_data=count, task=data, seed=seed)
        _show_model(score, name)
        if out is not None:
            write_model_score(score, name, suspicious, data, out / name)
    if of_inputs:
        scores = score_inputs(
            suspicious,
            list(of_inputs.values()),
            defender_data=count,
            task=data,
            **attack.arguments(),
            examples=number_or_all(examples, "--examples"),
            seed=seed,
        )
        for name, input_score in zip(of_inputs, scores, strict=True):
            _show_inputs(input_score, name)
            if out is not None:
                write_input_score(input_score, name, out / name)
    return Answer(wrote=out)


def _show_model(score: ModelScore, name: str) -> None:
    if len(score.details):
        show(score.details_table(f"{name}: what was tried"))
    say(f"score {score.score:.4g}: the higher, the more suspicious; only clean models tell what is high")
    if score.note:
        say(score.note)


def _show_inputs(score: InputScore, name: str) -> None:
    say(f"{name}: AUROC {score.auroc:.4f}")
    for rate, above in score.thresholds.items():
        say(
            f"threshold {above:.4g}, with an FPR of {rate:.0%} on {score.validation_count:,} of the defender's "
            f"examples: FPR {score.fpr[rate]:.4f} on {len(score.clean):,} clean test inputs, TPR "
            f"{score.tpr[rate]:.4f} on {len(score.triggered):,} triggered ones"
        )
    say(f"{score.seconds:.1f} s, peak memory {score.peak_bytes / 2**30:.2f} GiB")
