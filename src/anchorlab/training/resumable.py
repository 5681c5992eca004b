"""Long work that may be interrupted: a folder ``OUT.partial`` beside the output holds what is done so far."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anchorlab.artifacts.artifact import Artifact
from anchorlab.errors import AnchorlabError, DivergenceError
from anchorlab.files import explained, refuse_existing, write_json
from anchorlab.models.accelerator import find_accelerator
from anchorlab.training.checkpoint import Checkpoint
from anchorlab.training.processes import failed_elsewhere

if TYPE_CHECKING:
    from accelerate import Accelerator

#: File that holds the settings of an interrupted run.
SETTINGS = "settings.json"


def run_into(
    out: str | Path,
    settings: dict[str, Any],
    work: Callable[[Checkpoint], Artifact],
    *,
    checkpoint_seconds: float = 30.0,
) -> Artifact:
    """Runs ``work`` and saves what it returns as the folder ``out``, resuming if it was interrupted.

    The checkpoint lies in ``OUT.partial``, together with the settings; the same settings continue it,
    others are refused. The folder goes when the run is done, diverges, or fails before its first checkpoint.
    With several processes, the main one alone writes and removes; all of them read the checkpoint.

    Args:
        out: the output folder, which must not hold anything yet.
        settings: all that determines the result, as JSON values.
        work: does the run, writing its state to the checkpoint it is given.
        checkpoint_seconds: least time between two checkpoints.

    Raises:
        AnchorlabError: if ``out`` holds something, or ``OUT.partial`` belongs to other settings.
    """
    out = Path(out)
    partial = out.with_name(out.name + ".partial")
    checkpoint = Checkpoint(partial / "checkpoint.safetensors", checkpoint_seconds)
    processes = find_accelerator()
    try:
        if processes.is_main_process:
            refuse_existing(out)
            _check_settings(partial, settings)
        processes.wait_for_everyone()
        artifact = _work(out, partial, settings, checkpoint, work, processes)
        processes.wait_for_everyone()
    except Exception as error:
        if failed_elsewhere(error):
            raise SystemExit(1) from error
        raise
    return artifact


def _check_settings(partial: Path, settings: dict[str, Any]) -> None:
    """Raises AnchorlabError if an interrupted run with other settings lies there."""
    record = partial / SETTINGS
    before = json.loads(record.read_text()) if record.exists() else settings
    if before != settings:
        raise AnchorlabError(
            f"{partial} holds an interrupted run with other settings ({_difference(before, settings)}): "
            "repeat that command to finish it, or delete the folder"
        )


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
            artifact.save(out)
    except BaseException as error:
        # Nothing to continue from, or nothing worth continuing, so nothing to leave behind.
        gone = not checkpoint.path.exists() or isinstance(error, DivergenceError)
        if gone and processes.is_main_process:
            shutil.rmtree(partial, ignore_errors=True)
        raise
    if processes.is_main_process:
        with explained(partial):
            shutil.rmtree(partial)
    return artifact


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            return f"{name} was {before.get(name)!r}, is {now.get(name)!r}"
    return "none is named"
