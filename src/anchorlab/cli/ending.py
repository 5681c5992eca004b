"""How a command ends: exit code and text of each exception, and streams that take every character."""

from __future__ import annotations

import os
import sys

from anchorlab.cli.catalogue import entries_of
from anchorlab.errors import SCREEN, AnchorlabError, first_line, is_out_of_memory, printable, shortened


def ending(error: Exception) -> tuple[int, str]:
    """Exit code and text of an exception: one sentence, or the help where a group was called without a command."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return 2, str(error.format_message())  # type: ignore[attr-defined]
    code, message = _ending(error)
    return code, shortened(printable(" ".join(message.split())), SCREEN)


def _ending(error: Exception) -> tuple[int, str]:
    if isinstance(error, AnchorlabError):
        return 2, f"error: {error}"
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # typer's, whose class depends on its version
        command = getattr(getattr(error, "ctx", None), "command_path", "anchorlab")
        message = first_line(Exception(error.format_message()))
        option = str(getattr(error, "option_name", ""))
        name = option.lstrip("-").replace("-", "_")
        if command.endswith(" train") and any(entry["name"] == name for entry in entries_of("training")):
            return error.exit_code, f"error: there is no option {option}: give --set {name}=VALUE"
        return error.exit_code, f"error: {message}: '{command} --help' shows what is possible"
    if is_out_of_memory(error):
        return 2, (
            f"error: the memory is not enough ({first_line(error) or 'out of memory'}): give smaller numbers, such as "
            "a smaller batch size, or use a larger machine"
        )
    if isinstance(error, OSError):
        return 2, f"error: {error.filename or 'the operating system refused'}: {error.strerror or error}"
    return 70, f"internal error: {type(error).__name__}: {error}; --debug shows where"


def open_streams() -> None:
    """Gives the process streams that take every character, also where the caller closed them or has no UTF-8."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, os.fdopen(_reserve(number), mode))
        elif name != "stdin" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _reserve(number: int) -> int:
    """The null device under a number of its own, so that no file that is opened later gets it."""
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    return number
