"""A guard for tests of hostile input: no process is started, and no code that lies in the input is run.

Python tells an audit hook of each process and of each piece of code before it runs. The hook refuses what must not
happen, and remembers it, because the code under test may take the refusal for a damaged file.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

_PROCESSES = {
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile"),
    *("os.fork", "os.forkpty", "pty.spawn"),
}
#: Modules whose members no pickle may name: each would start a process or run code.
_DANGEROUS = {"os", "posix", "nt", "subprocess", "pty", "runpy", "commands"}

#: The folders that are watched at this moment, and what was refused in each.
_watched: dict[Path, list[str]] = {}
_installed = False


@contextmanager
def nothing_run(folder: Path) -> Iterator[list[str]]:
    """Inside, a process that starts is refused, and code or a library that lies in the folder too.

    Yields the list of what was refused so far. Leaving fails the test if there is any.
    """
    install()
    root = folder.resolve()
    refused = _watched.setdefault(root, [])
    try:
        yield refused
    finally:
        del _watched[root]
    assert refused == [], f"hostile input ran something: {refused}"


def install() -> None:
    """Adds the hook to this process, once; it cannot be taken away again and costs little while nothing is watched.

    Matplotlib looks for fonts by a process of the system when it is first imported on a machine: that is done before.
    """
    global _installed
    if not _installed:
        importlib.import_module("matplotlib.font_manager")
        sys.addaudithook(_hook)
        _installed = True


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched:
        return
    what = _forbidden(event, arguments)
    if what is not None:
        for refused in _watched.values():
            refused.append(what)
        raise PermissionError(f"refused by the guard of this test: {what}")


def _forbidden(event: str, arguments: tuple[Any, ...]) -> str | None:
    """What must not happen, in words; None for everything else."""
    if event in _PROCESSES:
        return f"process: {event} {arguments[:2]!r}"
    if event == "exec" and isinstance(arguments[0], CodeType) and _is_inside(arguments[0].co_filename):
        return f"code: {arguments[0].co_filename}"
    if event == "import" and len(arguments) > 1 and _is_inside(arguments[1]):
        return f"library: {arguments[1]}"
    if event == "ctypes.dlopen" and _is_inside(arguments[0]):
        return f"library: {arguments[0]}"
    if event == "pickle.find_class" and str(arguments[0]).partition(".")[0] in _DANGEROUS:
        return f"pickle: {arguments[0]}.{arguments[1]}"
    return None


def _is_inside(name: object) -> bool:
    """Whether a file lies in a folder that is watched; names of no file, such as ``<string>``, do not."""
    if not isinstance(name, str | bytes) or not name or os.fsdecode(name).startswith("<"):
        return False
    if re.fullmatch("<.*>", text := os.fsdecode(name)):
        return False
    path = Path(text).absolute()  # not resolved: what asks the disk would call the hook again
    return any(path.is_relative_to(folder) for folder in _watched)
