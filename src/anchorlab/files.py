"""Paths that the user gave, reading what lies there, and writing so that nothing is ever half-written."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, Literal

from anchorlab.errors import AnchorlabError, first_line, is_utf8, quoted, shortened

_NOTED: ContextVar[set[Path] | None] = ContextVar("noted", default=None)


#: Endings of names that promise another form than parquet.
_OTHER_TABLES = (".csv", ".tsv", ".json", ".jsonl", ".xlsx")


def parquet_path(given: str | os.PathLike[str]) -> Path:
    """The path that the user gave for a parquet file; raises AnchorlabError as ``user_path``, or for another ending."""
    path = user_path(given)
    if path.suffix.lower() in _OTHER_TABLES:
        raise AnchorlabError(
            f"the table {path} would be a parquet file: give a name that ends in .parquet, and read it with "
            "pandas.read_parquet"
        )
    return path


def user_path(given: str | os.PathLike[str]) -> Path:
    """The path that the user gave, with ``~`` written out; whether anything lies there is not looked at.

    Raises:
        AnchorlabError: for what no path can be: nothing, a name that is not UTF-8, or the home of an unknown user.
    """
    text = os.fspath(given)
    if not text:
        raise AnchorlabError("a path is empty: give the name of a file or folder")
    if "\0" in text or not is_utf8(text):
        raise AnchorlabError(f"the path {quoted(text)} is not UTF-8 text without zero bytes: rename the file or folder")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise AnchorlabError(
            f"the path '{shortened(text)}' begins with ~ and the name of no user of this machine: write the path out"
        ) from error


def kind_at(path: Path) -> Literal["file", "folder", "other"] | None:
    """What lies at a path, links followed: ``other`` is a pipe or a device, None is nothing.

    Raises:
        AnchorlabError: if the operating system does not say: permission is denied, links lead in a circle, or a name
            is too long.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise AnchorlabError(
            f"the path {path} cannot be followed ({error.strerror or error}): correct it, or give another"
        ) from error
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def input_file(given: str | os.PathLike[str], remedy: str) -> Path:
    """The path of an ordinary file that can be read.

    Args:
        given: what the user gave.
        remedy: the last part of a refusal, for example ``"give the logits as a .npy file"``.

    Raises:
        AnchorlabError: for nothing, a folder, a pipe or a device, or a file that this user may not read.
    """
    return _existing(given, "file", remedy)


def input_folder(given: str | os.PathLike[str], remedy: str) -> Path:
    """The path of a folder whose entries can be read, none of which is a pipe or a device; see ``input_file``."""
    folder = _existing(given, "folder", remedy)
    for path in sorted(folder.iterdir()):
        if path.exists() and kind_at(path) == "other":
            raise AnchorlabError(f"{path} is a pipe or a device, not a file: remove it, or give another folder")
    return folder


def _existing(given: str | os.PathLike[str], wanted: Literal["file", "folder"], remedy: str) -> Path:
    path = user_path(given)
    found = kind_at(path)
    if found is None:
        raise AnchorlabError(f"there is no {wanted} {path}: {remedy}")
    if found != wanted:
        what = "a pipe or a device" if found == "other" else f"a {found}"
        raise AnchorlabError(f"{path} is {what}, not a {wanted}: {remedy}")
    if not os.access(path, os.R_OK if wanted == "file" else os.R_OK | os.X_OK):
        raise AnchorlabError(f"{path} cannot be read, because permission is denied: change that, or give another")
    return path


def read_json(given: str | os.PathLike[str], remedy: str, *, nan: bool = False) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        given: the path of the file.
        remedy: the last part of a refusal, for example ``"delete it and run again"``.
        nan: whether NaN and infinities are taken, which JSON does not have but Python writes.

    Raises:
        AnchorlabError: if there is no such file, it is damaged in any way, or it holds something else than an object.
    """

    def constant(name: str) -> float:
        if not nan:
            raise ValueError(f"{name} is not a number of JSON")
        return float(name)

    path = input_file(given, remedy)
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=constant)
    except (OSError, ValueError, RecursionError) as error:
        raise AnchorlabError(f"{path} cannot be read as JSON ({shortened(first_line(error))}): {remedy}") from error
    if not isinstance(value, dict):
        raise AnchorlabError(f"{path} holds {quoted(value, 60)}, but an object of JSON was expected: {remedy}")
    return value


def write_atomically(path: Path, content: bytes | str) -> None:
    """Writes a file, or leaves the former one untouched; a link is followed.

    Raises:
        AnchorlabError: if the disk is full or read-only, the path cannot be written, or there is something
            other than a file, such as a device, which the rename would destroy.
    """
    with written_atomically(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def written_atomically(path: Path) -> Iterator[IO[bytes]]:
    """A file to write bytes to, which takes its place when the block ends, and goes if the block raises.

    For what is written piece by piece, over hours: this process holds the file, so that no sweep takes it away.

    Raises:
        AnchorlabError: as ``write_atomically``.
    """
    _refuse_irregular(path)
    noted = _NOTED.get()
    if noted is not None:
        noted.add(path)
    with explained(path):
        path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = _held_file(path)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(0o666 & ~_umask())
                temporary.replace(path)  # while it is held: a sweep may come between closing and this
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


@contextmanager
def noted_files() -> Iterator[set[Path]]:
    """The paths of all files that are written atomically inside, as they were given."""
    noted: set[Path] = set()
    token = _NOTED.set(noted)
    try:
        yield noted
    finally:
        _NOTED.reset(token)


def write_folder_atomically(folder: Path, write: Callable[[Path], None], *, replace: bool = False) -> None:
    """Writes a folder, whole or not at all.

    Args:
        folder: what is made; it may be there already if it is empty.
        write: writes the files into the folder that it is called with, a temporary neighbour of ``folder``.
        replace: whether a folder that is there and holds anything goes, once the new one is whole.

    Raises:
        AnchorlabError: if the disk is full or read-only, the path cannot be written, or the folder holds anything.
    """
    with explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = _held_folder(folder)
        former = temporary.with_name(f"{temporary.name.removesuffix('.tmp')}_.tmp")
        try:
            _write_named(folder, temporary, write)
            temporary.chmod(0o755)
            if replace and folder.is_dir():
                folder.replace(former)
            elif folder.is_dir():
                folder.rmdir()
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(former, ignore_errors=True)
            os.close(handle)


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """A temporary folder beside a file or folder; this process holds it, so that no sweep takes it away."""
    handle, temporary = _held_folder(path)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(handle)


def _write_named(folder: Path, temporary: Path, write: Callable[[Path], None]) -> None:
    """Writes into the temporary folder; a refusal names the folder that the user asked for."""
    try:
        write(temporary)
    except AnchorlabError as error:
        raise type(error)(str(error).replace(str(temporary), str(folder))) from error


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
    """Refuses a place for a new folder before any work is done, and sweeps up what a killed process left beside it.

    Raises:
        AnchorlabError: if it holds anything, is a file, a pipe or a device, lies below a file, may not be written to,
            or is no name, such as ``/`` or ``..``.
    """
    if folder.name in ("", ".."):
        raise AnchorlabError(f"{folder} is not the name of a new folder: give --out a name, such as {folder / 'out'}")
    found = kind_at(folder)
    if found not in (None, "folder") or (found == "folder" and any(folder.iterdir())):
        raise AnchorlabError(f"{folder} already exists: choose another --out, or remove it first")
    with explained(folder):
        _check_writable(folder.absolute())
    sweep(folder.parent, folder.name)


def check_writable(file: Path | None) -> None:
    """Refuses a place for a file before any work is done, and sweeps up beside it; None is no place, and all right.

    Raises:
        AnchorlabError: if there is a folder, a pipe or a device, or the file could not be made there.
    """
    if file is not None:
        _refuse_irregular(file)
        with explained(file):
            _check_writable(file.absolute())
        sweep(file.parent, file.name)


def check_folder(folder: Path | None) -> None:
    """The same for a place of a folder, which may hold something already."""
    if folder is not None:
        if kind_at(folder) not in (None, "folder"):
            raise AnchorlabError(f"cannot write {folder}: it is not a folder: choose another place")
        with explained(folder):
            _check_writable(folder.absolute() / "file")
        for within in (folder, *(path for path in folder.glob("*") if path.is_dir())):
            sweep(within)


def sweep(folder: Path, name: str | None = None) -> None:
    """Removes what killed processes were just writing into a folder; what a living one writes stays.

    Args:
        folder: where to look, not deeper; it may be missing.
        name: of the file or folder whose temporary neighbours go; None for the neighbours of all.
    """
    temporary = re.compile(rf"\.{'.+' if name is None else re.escape(name)}\.[a-z0-9_]{{8,9}}\.tmp", re.DOTALL)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if temporary.fullmatch(entry.name) and not entry.is_symlink():
                _remove_if_left(Path(entry.path))


def _remove_if_left(temporary: Path) -> None:
    """Removes a temporary file or folder, unless a process holds it."""
    with suppress(OSError):
        handle = os.open(temporary, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            if _hold(handle):
                shutil.rmtree(temporary, ignore_errors=True) if temporary.is_dir() else temporary.unlink()
        finally:
            os.close(handle)


def _held_file(path: Path) -> tuple[int, Path]:
    """A new temporary neighbour of a file, open and held by this process, so that no sweep takes it away."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        if _hold(handle) is not False and os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # a sweep was quicker


def _held_folder(folder: Path) -> tuple[int, Path]:
    """The same for a folder."""
    while True:
        name = tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp")
        with suppress(FileNotFoundError):
            handle = os.open(name, os.O_RDONLY)
            if _hold(handle) is not False and Path(name).is_dir():
                return handle, Path(name)
            os.close(handle)


def _hold(handle: int) -> bool | None:
    """Takes the lock of an open file or folder, which ends with this process; None where there are no such locks."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _refuse_irregular(path: Path) -> None:
    if kind_at(path) not in (None, "file"):
        raise AnchorlabError(f"cannot write {path}: it is not an ordinary file: choose another place")


def _check_writable(path: Path) -> None:
    """Raises OSError if nothing can be made at a path, because of the nearest folder above it that is there."""
    above = next(parent for parent in path.parents if parent.exists())
    if not above.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
