"""The command that turns a pickled checkpoint into safetensors, as a refusal prints it."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

#: Endings of files that Python unpickles.
PICKLES = {".bin", ".pt", ".pth", ".pkl", ".ckpt"}


#: Longest command that a message prints, in characters: what is cut off within quotes could run anything.
_LONGEST = 700


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


def command_of(*words: object, otherwise: str) -> str:
    """A command that a shell reads as these words, whatever is in them; ``otherwise`` where it would be too long."""
    command = " ".join(shell_word(word) for word in words)
    return command if len(command) <= _LONGEST else otherwise


def shell_word(word: object) -> str:
    """One word as bash and zsh read it, in signs that a terminal and a line of text leave as they are.

    Two spaces, line breaks, signs that steer a terminal and bytes that are no UTF-8 are written as numbers, and a path
    that begins like an option begins with ``./``.
    """
    text = str(word)
    if isinstance(word, Path) and text.startswith("-"):
        text = f"./{text}"
    if text.isprintable() and not re.search(r"  |^ | $", text):
        return shlex.quote(text)
    escaped = "".join(
        chr(byte) if 33 <= byte < 127 and chr(byte) not in "'\\" else f"\\x{byte:02x}" for byte in os.fsencode(text)
    )
    return f"$'{escaped}'"
