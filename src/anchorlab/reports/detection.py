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

#: The file of a folder of detections that says which model it is about.
OF_MODEL = "model.json"

#: Largest number of triggers in a figure, for models with many classes.
_DRAWN = 12


def model_record(model: Artifact | nn.Module, form: str) -> dict[str, str]:
    """The content of ``model.json``: which model the detections of a folder are about.

    Args:
        model: the model, before it is taken in a form.
        form: the form in which it is examined, in words; empty for its own.
    """
    return {"weights_sha256": weights_hash(module_of(model)), "form": form}


def check_one_model(folder: Path, examined: dict[str, str]) -> None:
    """Refuses a folder that holds what detectors said of another model or form, because its page is about one.

    Raises:
        AnchorlabError: if it does, or if its ``model.json`` is damaged.
    """
    record = folder / OF_MODEL
    if record.is_file() and read_json(record, "remove it") != examined:
        raise AnchorlabError(
            f"{folder} holds what detectors said of another model or form: give another folder, or remove this one "
            "first"
        )


def write_input_score(score: InputScore, name: str, out: Path) -> None:
    """Writes ``detection.json``, and every score as ``scores.csv``.

    Args:
        score: the result of the detector.
        name: of the detector.
        out: the folder.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    write_json(out / "detection.json", {"detector": name, **score.to_dict()})
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
    write_json(out / "detection.json", {"detector": name, "score": number(score.score), "note": score.note})
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
