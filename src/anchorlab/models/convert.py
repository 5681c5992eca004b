"""``convert``: a checkpoint of a training script as a model folder with safetensors, without running what is in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anchorlab.arguments import checked
from anchorlab.errors import AnchorlabError, shortened
from anchorlab.files import explained, folder_beside, input_file, refuse_existing, user_path, write_folder_atomically
from anchorlab.models.folders import COMPANIONS
from anchorlab.models.weight_files import INDEX, WEIGHTS, lies_inside


@dataclass(frozen=True)
class Conversion:
    """What was converted.

    Attributes:
        folder: the folder that holds the weights now.
        tensors: how many tensors they are.
        numbers: how many numbers these hold.
        unwrapped: the entries of the checkpoint that they lay under, from the outermost on.
        stripped: what their names lost.
        left_out: names of what lay beside them.
        copied: the files of the model that were copied beside them.
    """

    folder: Path
    tensors: int
    numbers: int
    unwrapped: tuple[str, ...]
    stripped: tuple[str, ...]
    left_out: tuple[str, ...]
    copied: tuple[str, ...]


@checked
def convert(file: str | Path, out: str | Path, *, keys: Sequence[str] = (), strip: str = "") -> Conversion:
    """Turns a pickled checkpoint into ``model.safetensors``, with the files of the model that lie beside it.

    A process of its own reads it, and builds only tensors, numbers, texts and their containers; a pickle that wants
    anything else is refused. Arrays of numpy beside the weights are read as nothing. The weights may lie under
    ``state_dict``, ``model``, ``model_state_dict``, ``net`` or ``module``, one within the other too. The prefixes of
    torch.compile, DataParallel, FSDP and AveragedModel are taken off their names.

    Args:
        file: the checkpoint; the index of several pickles; or weights in safetensors whose names have a prefix.
        out: the folder to write, which must not hold anything yet; or the checkpoint's own folder, which then gets
            ``model.safetensors``.
        keys: the entries that lead to the weights, from the outermost on, where the usual names do not.
        strip: a further prefix that the names lose; weights without it are left out.

    Raises:
        AnchorlabError: if the file cannot be read without running code, holds no weights or several, or ``out`` holds
            anything.
    """
    file = input_file(file, "give the checkpoint of a training script, as in model.pt")
    out = user_path(out)
    order = {"file": str(file), "keys": list(keys), "strip": strip}
    if not (out.is_dir() and out.resolve() == file.parent.resolve()):
        refuse_existing(out)
        companions = _companions(file.parent)
        report: dict[str, Any] = {}

        def write(folder: Path) -> None:
            report.update(_read_elsewhere(order, folder / WEIGHTS))
            for path in companions:
                shutil.copyfile(path, folder / path.name)

        write_folder_atomically(out, write)
        return Conversion(out, copied=tuple(path.name for path in companions), **_tuples(report))
    present = [name for name in (WEIGHTS, INDEX) if (out / name).exists()]
    if present:
        raise AnchorlabError(f"{out / present[0]} is there already: choose another --out, or remove it first")
    with explained(out), folder_beside(out / WEIGHTS) as folder:
        report = _read_elsewhere(order, folder / WEIGHTS)
        (folder / WEIGHTS).replace(out / WEIGHTS)
    return Conversion(out, copied=(), **_tuples(report))


def _tuples(report: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in report.items()}


def _read_elsewhere(order: dict[str, Any], out: Path) -> dict[str, Any]:
    """Has a process of its own read the checkpoint and write the weights to ``out``; returns its report."""
    program = [sys.executable, "-P", "-m", "anchorlab.models.unpickle"]
    ended = subprocess.run(
        program,
        input=json.dumps(order | {"out": str(out)}).encode(),
        capture_output=True,
        check=False,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "TRANSFORMERS_VERBOSITY": "error"},
    )
    file = shortened(str(order["file"]))
    if ended.returncode:
        signals = {-one: one.name for one in signal.Signals}
        end = signals.get(ended.returncode, f"exit code {ended.returncode}")
        raise AnchorlabError(
            f"reading {file} took too much memory or time, or failed ({end}), so that it is damaged or made to do "
            "harm: store model.state_dict() alone, where the model was trained"
        )
    report: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    if "refusal" in report:
        raise AnchorlabError(report["refusal"])
    out.chmod(0o644)
    return report


def _companions(folder: Path) -> list[Path]:
    """The texts that say what a model is, where they lie beside its weights; never code, and nothing from elsewhere."""
    paths = [folder / name for name in COMPANIONS]
    return [path for path in paths if path.is_file() and lies_inside(path)]
