"""``anchorlab detect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anchorlab.cli.arguments import (
    Data,
    ImageColumn,
    LabelColumn,
    MaxLength,
    Parameters,
    Seed,
    TextColumn,
    columns_of,
    task_of,
)
from anchorlab.cli.defend import Budget, ScoringRule, ScoringTarget, ScoringTrigger, Suspicious, budget_of
from anchorlab.errors import AnchorlabError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from anchorlab.artifacts.artifact import Artifact
    from anchorlab.consistency.statistics import Estimate
    from anchorlab.data import Task
    from anchorlab.detectors.base import ModelScore
    from anchorlab.scoring.detections import InputScore


#: Most triggers in a figure, of models with many classes.
_DRAWN = 12


def detect(
    *,
    run: Suspicious,
    detectors: Annotated[
        list[str], typer.Option("--with", help="A detector, see 'anchorlab list detectors'; may be repeated.")
    ],
    budget: Budget = "640",
    examples: Annotated[
        str, typer.Option(metavar="N|all", help="Clean test inputs that a detector of inputs scores.")
    ] = "500",
    out: Annotated[
        Path | None,
        typer.Option(
            help="A folder, with one for each detector in it: detection.json, every score or whatever was tried, and "
            "the triggers that were found."
        ),
    ] = None,
    task: Annotated[str | None, typer.Option(help="The task, or data of your own; the model's if left out.")] = None,
    data: Data = None,
    text_column: TextColumn = None,
    image_column: ImageColumn = None,
    label_column: LabelColumn = None,
    max_length: MaxLength = None,
    trigger: ScoringTrigger = None,
    target: ScoringTarget = None,
    label_rule: ScoringRule = None,
    seed: Seed = 0,
    set_: Parameters = None,
) -> None:
    """Score how suspicious a model looks, or how well a detector tells triggered inputs from clean ones."""
    from anchorlab.artifacts.artifact import open_model
    from anchorlab.detectors import DETECTORS
    from anchorlab.detectors.base import ModelDetector
    from anchorlab.scoring.detections import score_all_inputs, score_model
    from anchorlab.settings import parse_pairs

    if set_ and len(detectors) > 1:
        raise AnchorlabError(f"--set is for one detector, but {len(detectors)} are asked: ask them one by one")
    chosen = {name: DETECTORS.build(name, parse_pairs(set_ or [], "--set")) for name in detectors}
    suspicious = open_model(run)
    where = task_of(suspicious, task, data, columns_of(text_column, image_column, label_column, max_length), None)
    of_models = {name: one for name, one in chosen.items() if isinstance(one, ModelDetector)}
    of_inputs = {name: one for name, one in chosen.items() if not isinstance(one, ModelDetector)}
    if not of_inputs and (trigger is not None or target is not None or label_rule is not None):
        raise AnchorlabError(f"{detectors[0]} scores models and needs no attack: leave --trigger and --target out")
    for name, detector in of_models.items():
        score = score_model(suspicious, detector, defender_data=budget_of(budget), task=where, seed=seed)
        _show_model(score, name)
        if out is not None:
            _write_model(score, name, suspicious, where, out / name)
    if of_inputs:
        scores = score_all_inputs(
            suspicious,
            list(of_inputs.values()),
            defender_data=budget_of(budget),
            task=where,
            trigger=trigger,
            target=target,
            label_rule=label_rule,
            examples=budget_of(examples, "--examples"),
            seed=seed,
        )
        for name, found in zip(of_inputs, scores, strict=True):
            _show_inputs(found, name)
            if out is not None:
                _write_inputs(found, name, out / name)


def _show_model(score: ModelScore, name: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False, emoji=False)
    if len(score.details):
        table = Table(title=f"{name}: what was tried", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in score.details:
            table.add_column(str(column).replace("_", " "), justify="right")
        for row in score.details.itertuples(index=False):
            table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row))
        console.print(table)
    typer.echo(f"score {score.score:.4g}: the higher, the more suspicious; only clean models tell what is high")
    if score.note:
        typer.echo(score.note)


def _show_inputs(score: InputScore, name: str) -> None:
    typer.echo(f"{name}: AUROC {_interval(score.auroc)}")
    for rate, above in score.thresholds.items():
        typer.echo(
            f"threshold {above:.4g}, for {rate:.0%} false alarms on {score.held_count:,} of the defender's examples: "
            f"{_interval(score.false_alarms[rate])} of {len(score.clean):,} clean test inputs lie above it, and "
            f"{_interval(score.detected[rate])} of {len(score.triggered):,} triggered ones"
        )
    typer.echo(f"{score.seconds:.1f} s, peak memory {score.peak_bytes / 2**30:.2f} GiB")


def _interval(estimate: Estimate) -> str:
    if estimate.value is None:
        return "undefined"
    return f"{estimate.value:.4f} [{estimate.lower:.4f}, {estimate.upper:.4f}]"


def _write_inputs(score: InputScore, name: str, out: Path) -> None:
    from anchorlab.files import write_atomically, write_json

    write_json(out / "detection.json", {"detector": name, **score.to_dict()})
    write_atomically(out / "scores.csv", score.table().to_csv(index=False, lineterminator="\n"))
    typer.echo(f"written to {out}")


def _write_model(score: ModelScore, name: str, model: Artifact | nn.Module, task: Task | None, out: Path) -> None:
    from anchorlab.artifacts.resolve import common_task
    from anchorlab.files import write_atomically, write_json
    from anchorlab.statistics.table import number

    write_json(out / "detection.json", {"detector": name, "score": number(score.score), "note": score.note})
    if len(score.details):
        write_atomically(out / "details.csv", score.details.to_csv(index=False, lineterminator="\n"))
    if score.patterns is not None and score.targets is not None:
        _draw_found(score.patterns, score.targets.tolist(), name, model, common_task(task, model, []), out)
    typer.echo(f"written to {out}")


def _draw_found(
    patterns: Tensor, labels: list[int], name: str, model: Artifact | nn.Module, task: Task, out: Path
) -> None:
    """Draws the triggers that were found, the most suspicious first, beside the true one if the manifest names it."""
    from anchorlab.artifacts.resolve import attack_of
    from anchorlab.reports.suite.detection_figures import found_triggers
    from anchorlab.reports.suite.detections import FoundTriggers, Shown

    attack = attack_of(model, task)
    true = None if attack is None else Shown(attack.on_black(task.split("test").inputs), "")
    shown = {
        f"found, {place}": Shown(pattern, task.classes[label])
        for place, (pattern, label) in enumerate(zip(patterns[:_DRAWN], labels[:_DRAWN], strict=True), 1)
    }
    found_triggers(FoundTriggers(true, {name: shown}), out / "found")
