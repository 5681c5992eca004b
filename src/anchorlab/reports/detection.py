"""Writes the result of one detector, for a model or for inputs, into a folder."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.provenance import weights_hash
from anchorlab.artifacts.resolve import attack_of, common_task, module_of
from anchorlab.data import Task
from anchorlab.detectors.base import ModelScore
from anchorlab.errors import AnchorlabError
from anchorlab.files import read_json, write_atomically, write_json
from anchorlab.reports.suite.detection_figures import draw_found_triggers
from anchorlab.reports.suite.detections import FoundTriggers, ShownTrigger
from anchorlab.scoring.input_score import InputScore
from anchorlab.statistics.comma_separated import frame_csv
from anchorlab.statistics.table import number

#: Largest number of triggers in a figure, for models with many classes.
_DRAWN = 12


def check_one_model(folder: Path, model: Artifact | nn.Module) -> None:
    """Refuses a folder that holds what detectors said of another model, because its page is about one.

    Raises:
        AnchorlabError: if it does, or if a record there is damaged.
    """
    own = weights_hash(module_of(model))
    for record in sorted(folder.glob("*/detection.json")):
        there = read_json(record, "remove it")
        if isinstance(there, dict) and there.get("weights_sha256", own) != own:
            raise AnchorlabError(
                f"{folder} holds what {record.parent.name} said of another model: give another folder, or remove this "
                "one first"
            )


def write_input_score(score: InputScore, name: str, model: Artifact | nn.Module, out: Path) -> None:
    """Writes ``detection.json``, and every score as ``scores.csv``.

    Args:
        score: the result of the detector.
        name: of the detector.
        model: the model whose inputs were scored.
        out: the folder.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    record = {"detector": name, "weights_sha256": weights_hash(module_of(model)), **score.to_dict()}
    write_json(out / "detection.json", record)
    write_atomically(out / "scores.csv", frame_csv(score.table()))


def write_model_score(score: ModelScore, name: str, model: Artifact | nn.Module, task: Task | None, out: Path) -> None:
    """Writes ``detection.json``, the details as ``details.csv``, and the triggers found as ``found.png``.

    Args:
        score: the result of the detector.
        name: of the detector.
        model: the model that was scored.
        task: its data; None for the data that its manifest names.
        out: the folder.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    record = {"detector": name, "weights_sha256": weights_hash(module_of(model)), "score": number(score.score)}
    write_json(out / "detection.json", {**record, "note": score.note})
    if len(score.details):
        write_atomically(out / "details.csv", frame_csv(score.details))
    if score.patterns is not None and score.targets is not None:
        _draw(score.patterns, score.targets.tolist(), name, model, common_task(task, model, []), out / "found")


def _draw(patterns: Tensor, labels: list[int], name: str, model: Artifact | nn.Module, task: Task, stem: Path) -> None:
    """Draws the triggers, the most suspicious first, beside the true trigger if the manifest names it."""
    attack = attack_of(model, task)
    true = None if attack is None else ShownTrigger(attack.on_black(task.split("test").inputs), "")
    triggers = {
        f"found, {rank}": ShownTrigger(pattern, task.classes[label])
        for rank, (pattern, label) in enumerate(zip(patterns[:_DRAWN], labels[:_DRAWN], strict=True), 1)
    }
    draw_found_triggers(FoundTriggers(true, {name: triggers}), stem)
