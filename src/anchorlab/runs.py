"""Long work that may be interrupted: a folder ``OUT.partial`` beside the output holds what is done so far."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anchorlab.artifacts import Artifact
from anchorlab.errors import AnchorlabError, DivergenceError
from anchorlab.files import explained, refuse_existing, write_json
from anchorlab.fitting import Checkpoint


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

    Args:
        out: the output folder, which must not hold anything yet.
        settings: all that determines the result, as JSON values.
        work: does the run, writing its state to the checkpoint it is given.
        checkpoint_seconds: least time between two checkpoints.

    Raises:
        AnchorlabError: if ``out`` holds something, or ``OUT.partial`` belongs to other settings.
    """
    out = Path(out)
    refuse_existing(out)
    partial = out.with_name(out.name + ".partial")
    record = partial / "settings.json"
    if record.exists():
        before = json.loads(record.read_text())
        if before != settings:
            raise AnchorlabError(
                f"{partial} holds an interrupted run with other settings ({_difference(before, settings)}): "
                "repeat that command to finish it, or delete the folder"
            )
    checkpoint = Checkpoint(partial / "checkpoint.safetensors", checkpoint_seconds)
    try:
        if not record.exists():
            write_json(record, settings)
        artifact = work(checkpoint)
        artifact.save(out)
    except BaseException as error:
        # Nothing to continue from, or nothing worth continuing, so nothing to leave behind.
        if not checkpoint.path.exists() or isinstance(error, DivergenceError):
            shutil.rmtree(partial, ignore_errors=True)
        raise
    with explained(partial):
        shutil.rmtree(partial)
    return artifact


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            return f"{name} was {before.get(name)!r}, is {now.get(name)!r}"
    return "none is named"
