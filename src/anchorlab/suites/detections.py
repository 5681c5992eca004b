"""Runs the detection of a cell: its record, and the scores or triggers behind it as a table."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.provenance import RunMeter
from anchorlab.attacks.attack import build_attack
from anchorlab.data import Task
from anchorlab.detectors import DETECTORS, InputDetector, ModelDetector
from anchorlab.models.accelerator import find_device
from anchorlab.scoring.detect import score_inputs, score_model
from anchorlab.statistics.estimate import Estimate
from anchorlab.suites.cells import DetectionCell
from anchorlab.suites.detection_tables import scores_to_bytes, triggers_to_bytes
from anchorlab.triggers import TRIGGERS

#: False positive rates, and their percents in the names of columns.
_RATES = {0.01: "1", 0.05: "5"}

#: Columns of the record of a detector of inputs: the area under its ROC curve, and the TPR at thresholds that keep an
#: FPR on the defender's clean examples, each with the ends of its 95% interval; the FPR on clean test inputs at these
#: thresholds; and the numbers of inputs.
INPUT_RATES = (
    *("auroc", "auroc_low", "auroc_high"),
    *(f"tpr_at_{rate}{end}" for rate in _RATES.values() for end in ("", "_low", "_high")),
    *(f"false_alarms_at_{rate}" for rate in _RATES.values()),
    *("clean_count", "triggered_count"),
)


def detect(cell: DetectionCell, model: Artifact, task: Task) -> tuple[dict[str, Any], bytes | None]:
    """Lets a detector judge a cell's model, or inputs with it.

    Returns:
        A record of JSON values; and scores or triggers as parquet (``detection_tables.py``), None if there are none.

    Raises:
        AnchorlabError: if the detector does not fit the model, or the defender's data do not suffice.
    """
    meter = RunMeter(find_device())
    detector = DETECTORS.build(cell.detector, cell.parameters)
    table: bytes | None
    if isinstance(detector, ModelDetector):
        row, table = _judge_model(cell, detector, model, task)
    else:
        row, table = _judge_inputs(cell, detector, model, task)
    count = len(task.split("defender")) if cell.defender is None else cell.defender
    return {"defender_count": count, **asdict(meter.cost()), **row}, table


def _judge_model(
    cell: DetectionCell, detector: ModelDetector, model: Artifact, task: Task
) -> tuple[dict[str, Any], bytes | None]:
    result = score_model(model, detector, defender_data=cell.defender, task=task, seed=cell.seed)
    finite = math.isfinite(result.score)
    note = result.note if finite or result.note else f"the score is {result.score}, which no other can be compared with"
    row = {"score": result.score if finite else None, "note": note}
    return row, triggers_to_bytes(result)


def _judge_inputs(
    cell: DetectionCell, detector: InputDetector, model: Artifact, task: Task
) -> tuple[dict[str, Any], bytes]:
    attack = build_attack(task, TRIGGERS.from_dict(cell.trigger), cell.rule, cell.target)
    (result,) = score_inputs(
        model,
        [detector],
        defender_data=cell.defender,
        task=task,
        trigger=attack.trigger,
        label_rule=attack.label_rule,
        split=cell.split,
        examples=cell.examples,
        seed=cell.seed,
    )
    row = _ends("auroc", result.auroc)
    for rate, name in _RATES.items():
        row |= _ends(f"tpr_at_{name}", result.tpr[rate])
        row[f"false_alarms_at_{name}"] = result.fpr[rate].value
    row |= {"clean_count": len(result.clean), "triggered_count": len(result.triggered)}
    return row, scores_to_bytes(result)


def _ends(name: str, estimate: Estimate) -> dict[str, float | None]:
    return {name: estimate.value, f"{name}_low": estimate.lower, f"{name}_high": estimate.upper}
