"""Writing so that nothing is ever half-written: a temporary neighbour, then a rename."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from anchorlab.errors import AnchorlabError


def write_atomically(path: Path, content: bytes | str) -> None:
    """Writes a file, or leaves the former one untouched; a link is followed.

    Raises:
        AnchorlabError: if the disk is full or read-only, the path cannot be written, or there is something
            other than a file, such as a device, which the rename would destroy.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        raise AnchorlabError(f"cannot write {path}: it is not an ordinary file: choose another place")
    with explained(path):
        path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


def write_folder_atomically(folder: Path, write: Callable[[Path], None]) -> None:
    """Writes a folder, whole or not at all.

    Args:
        folder: what is made; it may be there already if it is empty.
        write: writes the files into the folder that it is called with, a temporary neighbour of ``folder``.

    Raises:
        AnchorlabError: if the disk is full or read-only, the path cannot be written, or the folder holds anything.
    """
    with explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp"))
        try:
            write(temporary)
            temporary.chmod(0o755)
            if folder.is_dir():
                folder.rmdir()
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Writes a value as indented JSON; NaN and infinities are refused, because JSON has none."""
    write_atomically(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns the operating system's refusals to write at ``path`` into one clear sentence."""
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: "the disk is full: free some space or choose another place",
            errno.EDQUOT: "your disk quota is used up: free some space or choose another place",
            errno.EROFS: "the disk is read-only: choose another place",
            errno.EACCES: "permission is denied: choose a place that you may write to",
            errno.EPERM: "the operation is not permitted: choose a place that you may write to",
            errno.ENOTDIR: "a part of the path is a file, not a folder: choose another place",
            errno.EEXIST: "a part of the path is a file, not a folder: choose another place",
        }
        reason = reasons.get(error.errno or 0, f"{error.strerror or error}: choose another place")
        raise AnchorlabError(f"cannot write {path}: {reason}") from error


def refuse_existing(folder: Path) -> None:
    """Raises AnchorlabError if ``folder`` is there and holds anything, or is a file."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise AnchorlabError(f"{folder} already exists: choose another --out, or remove it first")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
