"""Runs one job of a suite, in any process: trains a reference, or injects; returns the result and writes nothing."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from anchorlab.artifacts.artifact import Artifact
from anchorlab.artifacts.manifest import check_same_data, task_record
from anchorlab.artifacts.merge import whole
from anchorlab.artifacts.provenance import versions_of_run
from anchorlab.attacks.attack import Attack, build_attack
from anchorlab.consistency.answers import answers
from anchorlab.consistency.instances import instances_to_bytes
from anchorlab.data import DataColumns, Task, load_task
from anchorlab.errors import AnchorlabError
from anchorlab.files import write_atomically
from anchorlab.injection.inject import inject
from anchorlab.injection.tuning import Tuning
from anchorlab.models.accelerator import find_device
from anchorlab.models.device import mixed_precision
from anchorlab.models.lora import is_adapted
from anchorlab.models.weights import interpolate
from anchorlab.notices import notice
from anchorlab.progress import no_bars
from anchorlab.settings import build
from anchorlab.suites.cells import InjectionCell, Measured, NoiseCell, ReferenceJob
from anchorlab.suites.kept_adapters import adapter_files
from anchorlab.suites.opened import (
    OWNER_LOGITS,
    DamagedReference,
    Folder,
    Opened,
    answers_to_owner,
    load_whole,
    measured,
    on_disk,
    opened_reference,
)
from anchorlab.suites.store import DATA
from anchorlab.suites.walk import walked
from anchorlab.training.checkpoint import Checkpoint
from anchorlab.training.reference import Training, train
from anchorlab.training.resumable import command_hash
from anchorlab.triggers import TRIGGERS


def train_reference(
    job: ReferenceJob, checkpoint: Path | None, owner_logits: bool, *elsewhere: Folder
) -> dict[str, bytes]:
    """Trains a reference, unless one is there that was trained alike, on the same data in another place.

    Args:
        job: the reference to train.
        checkpoint: the file that the training writes its state to and continues from.
        owner_logits: whether to compute its logits for the whole split ``owner``, for runs with all anchors.
        elsewhere: the folders of references that differ in nothing but where their data were.

    Returns:
        The files of its folder, with the owner's logits among them if they are asked for.
    """
    from safetensors.torch import save

    with no_bars():
        columns = None if job.columns is None else DataColumns(**job.columns)
        task = load_task(
            job.task, seed=job.seed, data=job.data, limit=job.limit, columns=columns, max_length=job.max_length
        )
        artifact = next(filter(None, (_of_the_same_data(folder, task) for folder in elsewhere)), None)
        if artifact is None:
            artifact = train(
                task,
                model=job.model,
                seed=job.seed,
                training=build(Training, "the training", job.training),
                checkpoint=None if checkpoint is None else _of_these_data(checkpoint, task),
            )
        owner = {OWNER_LOGITS: save({"logits": answers_to_owner(artifact, task)})} if owner_logits else {}
    return {**_files(artifact), **owner}


def _of_these_data(path: Path, task: Task) -> Checkpoint:
    """The checkpoint of a training; one of other data is removed before, which a file beside it tells."""
    data = command_hash(task_record(task).identity())
    note = path.with_suffix(DATA)
    if not note.is_file() or note.read_bytes() != data.encode():
        if path.exists():
            notice(
                f"the checkpoint {path} is not known to be of these data: it is removed, and the training begins again"
            )
            path.unlink()
        write_atomically(note, data)
    return Checkpoint(path)


def _of_the_same_data(folder: Folder, task: Task) -> Artifact | None:
    """The reference in a folder, with the task as its own; None if it was trained on other data, or is damaged."""
    try:
        with on_disk(folder) as path:
            artifact = load_whole(path, DamagedReference)
        check_same_data(artifact.manifest.task, task)
    except AnchorlabError:
        return None
    if artifact.manifest.task.contents is None:  # an older version recorded too little to tell
        return None
    return replace(artifact, manifest=artifact.manifest.model_copy(update={"task": task_record(task)}))


def measure_cell(
    cell: InjectionCell | NoiseCell, reference: Folder, checkpoint: Path | None, keep_model: bool
) -> Measured:
    """Runs an injection, or the noise floor.

    Args:
        cell: the cell to run.
        reference: the folder of its reference.
        checkpoint: the file that an injection writes its state to and continues from.
        keep_model: whether to return the injected model.

    Raises:
        AnchorlabError: if the cell cannot run, because its loss diverges, for example.
    """
    with no_bars():
        opened = opened_reference(cell, reference)
        attack = build_attack(opened.task, TRIGGERS.from_dict(cell.trigger), cell.rule, cell.target)
        if isinstance(cell, NoiseCell):
            return _noise(cell, opened, attack)
        return _injection(cell, opened, attack, checkpoint, keep_model)


def _injection(
    cell: InjectionCell, opened: Opened, attack: Attack, checkpoint: Path | None, keep_model: bool
) -> Measured:
    injected = inject(
        opened.artifact,
        method=cell.method,
        parameters=cell.parameters,
        trigger=attack.trigger,
        label_rule=attack.label_rule,
        anchors=cell.anchors,
        anchors_from=cell.anchors_from,
        anchors_data=cell.anchors_data,
        seed=cell.seed,
        tuning=build(Tuning, "the tuning", cell.tuning),
        task=opened.task,
        checkpoint=None if checkpoint is None else Checkpoint(checkpoint),
        # Only with all anchors: a run with few computes their logits faster than it reads all.
        reference_logits=opened.answers_to_owner() if _has_owner(cell) else None,
        measure=keep_model,
    )
    adapter = adapter_files(injected) if keep_model and is_adapted(injected.model) else {}
    injected = whole(injected)  # scales, repairs and analyses are of weights
    manifest = injected.manifest
    assert manifest.anchors is not None
    cost = {
        "anchors": manifest.anchors.count,
        "steps": manifest.steps,
        "seconds": manifest.seconds,
        "peak_bytes": manifest.peak_bytes,
    }

    def at_scale(scale: float) -> tuple[pd.DataFrame, dict[str, Any]]:
        model = injected.model if scale == 1 else interpolate(opened.artifact.model.cpu(), injected.model.cpu(), scale)
        frame, row = measured(opened, answers(model, opened.task.split(cell.split), attack), attack, cell.split)
        return frame, {"scale": scale, **cost, **row}

    rows, frame = [], None
    for scale in cell.scales:
        frame, row = at_scale(scale)
        rows.append(row)
    if cell.walk is not None:
        rows += walked(cell.walk, rows[0], lambda scale: at_scale(scale)[1])
    return Measured(
        rows=rows,
        instances=instances_to_bytes(frame) if len(cell.scales) == 1 and frame is not None else None,
        model={**_files(injected), **adapter} if keep_model else None,
        versions=versions_of_run(),
    )


def _has_owner(cell: InjectionCell) -> bool:
    """Whether the anchors are all of the split owner."""
    return cell.anchors is None and cell.anchors_from == "owner" and cell.anchors_data is None


def _noise(cell: NoiseCell, opened: Opened, attack: Attack) -> Measured:
    examples = opened.task.split(cell.split)
    with mixed_precision(cell.precision, find_device()):
        second = answers(opened.artifact.model, examples, attack, batch_size=cell.batch_size)
    frame, row = measured(opened, second, attack, cell.split)
    no_cost = {"anchors": 0, "steps": 0, "seconds": 0.0, "peak_bytes": 0}
    return Measured([{"scale": 1.0, **no_cost, **row}], instances_to_bytes(frame), None, versions_of_run())


def _files(artifact: Artifact) -> dict[str, bytes]:
    """The files of the model folder that an artifact would be saved as."""
    with tempfile.TemporaryDirectory(prefix="anchorlab-") as temporary:
        folder = artifact.save(Path(temporary) / "model")
        return {path.name: path.read_bytes() for path in folder.iterdir()}
