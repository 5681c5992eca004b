"""Long work that may be interrupted: a folder ``OUT.partial`` beside the output holds what is done so far."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError
from torch import nn

from anchorlab.artifacts.artifact import Artifact, load_like
from anchorlab.artifacts.manifest import MANIFEST, Manifest
from anchorlab.errors import AnchorlabError, DivergenceError, quoted, removal
from anchorlab.files import explained, read_json, refuse_existing, sweep, write_json
from anchorlab.models.accelerator import find_accelerator
from anchorlab.notices import notice
from anchorlab.training.checkpoint import Checkpoint
from anchorlab.training.processes import failed_elsewhere

if TYPE_CHECKING:
    from accelerate import Accelerator

#: File that holds the settings of an interrupted run.
SETTINGS = "settings.json"

#: File of a folder without a model that says which command wrote it.
COMMAND = "command.json"

#: File that holds its state.
CHECKPOINT = "checkpoint.safetensors"


def run_into(
    out: str | Path,
    settings: dict[str, Any],
    work: Callable[[Checkpoint], Artifact],
    *,
    model: nn.Module | None = None,
    checkpoint_seconds: float = 30.0,
) -> Artifact:
    """Runs ``work`` and saves what it returns as the folder ``out``, resuming if it was interrupted.

    The checkpoint lies in ``OUT.partial``, together with the settings; the same settings continue it,
    others are refused. Both go when the run is done, diverges, or fails before its first checkpoint.
    With several processes, the main one alone writes and removes; all of them read the checkpoint. An output that the
    same settings made before is opened, and nothing is done again.

    Args:
        out: the output folder, which must not hold anything else.
        settings: all that determines the result, as JSON values.
        work: does the run, writing its state to the checkpoint it is given.
        model: what the run begins with. It opens a finished output again if it is a module of your own.
        checkpoint_seconds: least time between two checkpoints.

    Raises:
        AnchorlabError: if ``out`` holds something, or ``OUT.partial`` belongs to other settings.
    """
    out = Path(out)
    partial = out.parent / f"{out.name}.partial"
    checkpoint = Checkpoint(partial / CHECKPOINT, checkpoint_seconds)
    processes = find_accelerator()
    try:
        finished = processes.is_main_process and is_finished(out, settings)
        if processes.is_main_process and not finished:
            refuse_existing(out)
            _check_settings(partial, settings)
        if _main_says(finished, processes):
            artifact = _open_finished(out, partial, model, processes)
        else:
            artifact = _work(out, partial, settings, checkpoint, work, processes)
        processes.wait_for_everyone()
    except Exception as error:
        if failed_elsewhere(error):
            raise SystemExit(1) from error
        raise
    return artifact


def command_hash(settings: dict[str, Any]) -> str:
    """SHA-256 of all settings of a command, whatever their order."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


def is_finished(out: Path, settings: dict[str, Any]) -> bool:
    """Whether a model folder is there, made by a command of the same settings, and whole."""
    try:
        manifest = Manifest.model_validate_json((out / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return False
    return manifest.command_sha256 == command_hash(settings)


def may_be_finished(out: Path) -> bool:
    """Whether a command wrote what is there, perhaps with other settings; cheap, before anything is opened."""
    return (out / MANIFEST).is_file() or (out / COMMAND).is_file()


def write_command(folder: Path, settings: dict[str, Any]) -> None:
    """Notes in a folder that holds no model which command wrote it; the last file to be written."""
    write_json(folder / COMMAND, {"command_sha256": command_hash(settings)})


def was_written_by(folder: Path, settings: dict[str, Any]) -> bool:
    """Whether a folder that holds no model was written by a command of the same settings."""
    try:
        return read_json(folder / COMMAND, "run it again").get("command_sha256") == command_hash(settings)
    except AnchorlabError:
        return False


def _open_finished(out: Path, partial: Path, model: nn.Module | None, processes: Accelerator) -> Artifact:
    """The result of an earlier run, which perhaps did not live to tidy up and to say so."""
    if processes.is_main_process:
        _forget(partial)
    return load_like(out, model)


def save_finished(artifact: Artifact, out: Path, settings: dict[str, Any]) -> Artifact:
    """Saves the result of a command, with the hash of its settings, and returns it so."""
    manifest = artifact.manifest.model_copy(update={"command_sha256": command_hash(settings)})
    artifact = replace(artifact, manifest=manifest)
    artifact.save(out)
    return artifact


def _main_says(finished: bool, processes: Accelerator) -> bool:
    """What the main process found, on all of them."""
    if processes.num_processes == 1:
        return finished
    return bool(processes.gather(torch.tensor([int(finished)], device=processes.device)).any())


def _check_settings(partial: Path, settings: dict[str, Any]) -> None:
    """Begins again where nobody knows any more which run was interrupted.

    Raises:
        AnchorlabError: if an interrupted run with other settings lies there.
    """
    record = partial / SETTINGS
    if not record.exists():
        _forget(partial)
        return
    try:
        before = read_json(record, "what it interrupted is not known any more, so the run begins again")
    except AnchorlabError as error:
        notice(str(error))
        _forget(partial)
        return
    if before != json.loads(json.dumps(settings)):
        raise AnchorlabError(
            f"{partial} holds an interrupted run with other settings ({_difference(before, settings)}): repeat that "
            f"command to finish it, or delete the folder, by {removal(partial)}"
        )


def _forget(partial: Path) -> None:
    """Removes what an interrupted run left, and the folder if nothing else lies there."""
    if partial.is_dir():
        with explained(partial):
            for name in (SETTINGS, CHECKPOINT):
                (partial / name).unlink(missing_ok=True)
                sweep(partial, name)
            if not any(partial.iterdir()):
                partial.rmdir()


def _work(
    out: Path,
    partial: Path,
    settings: dict[str, Any],
    checkpoint: Checkpoint,
    work: Callable[[Checkpoint], Artifact],
    processes: Accelerator,
) -> Artifact:
    """Does the work; the main process saves its result, and tidies up."""
    try:
        if processes.is_main_process and not (partial / SETTINGS).exists():
            write_json(partial / SETTINGS, settings)
        artifact = work(checkpoint)
        if processes.is_main_process:
            artifact = save_finished(artifact, out, settings)
    except BaseException as error:
        # Nothing to continue from, or nothing worth continuing, so nothing to leave behind.
        gone = not checkpoint.path.exists() or isinstance(error, DivergenceError)
        if gone and processes.is_main_process:
            with suppress(AnchorlabError):  # it must not hide the other error
                _forget(partial)
        raise
    if processes.is_main_process:
        _forget(partial)
    return artifact


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            return f"{name} was {quoted(before.get(name))}, is {quoted(now.get(name))}"
    return "none is named"
