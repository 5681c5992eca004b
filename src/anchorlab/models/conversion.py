"""The command that turns a pickled checkpoint into safetensors, as a refusal prints it."""

from __future__ import annotations

from pathlib import Path

from anchorlab.errors import command_of

#: Endings of files that Python unpickles.
PICKLES = {".bin", ".pt", ".pth", ".pkl", ".ckpt"}


def conversion(path: Path, out: Path | None = None) -> str:
    """What to do with pickled weights, which ends with the command that does it.

    Args:
        path: the file of weights.
        out: the folder to write; None for the file's own, so that the command that was refused works then.
    """
    command = convert_command(path, path.parent if out is None else out)
    return f"convert it first, without running what is in it: {command}"


def convert_command(path: Path, out: Path, *, strip: str = "") -> str:
    """The command that converts a file of weights; its names lose the prefix ``strip``, beyond the usual ones."""
    words = ["anchorlab", "convert", path, *(["--strip", strip] if strip else []), "--out", out]
    return command_of(*words, otherwise="anchorlab convert FILE --out FOLDER")
