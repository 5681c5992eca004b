"""Entries of the cache: named arrays with a value of JSON, written whole or not at all, and mapped when they are read.

An entry is a folder: a ``.npy`` file for each array, and ``about.json``, which says what each holds. A reader checks
type, shape and length of every file, and that nobody has changed it since it was written: by its size, times and inode,
or, where these are others because the cache was copied, by its SHA-256; ``about.json`` holds one of itself. What does
not fit is removed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from anchorlab.cache.place import going_without, limit, readable_folder, writable_folder
from anchorlab.cache.upkeep import ABOUT, Kept, make_room, remove, total
from anchorlab.errors import AnchorlabError, first_line
from anchorlab.files import sweep, write_folder_atomically
from anchorlab.notices import notice

if TYPE_CHECKING:
    import numpy as np

#: Below this many bytes an entry is not worth its place.
LEAST = 2**20

#: The only types of arrays in an entry.
_TYPES = ("uint8", "int32", "int64", "bool")

#: Errors of a write when another process was quicker, or removes entries meanwhile.
_OTHERS = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)

#: Changes whenever entries are written in another form.
_FORM = 2


@dataclass(frozen=True)
class Entry:
    """An entry as it was read.

    Attributes:
        place: where it lies, and what it says of itself.
        arrays: its arrays by name, mapped from their files: a change stays in this process and never reaches a file.
        value: what was written beside them.
    """

    place: Kept
    arrays: dict[str, np.ndarray[Any, Any]]
    value: Any


def digest(*parts: Any) -> str:
    """SHA-256 of values of JSON: the name of an entry that they decide."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def find(kind: str, key: str) -> Entry | None:
    """An entry; None if there is none that is whole.

    Args:
        kind: what sort of entry, a word.
        key: its name, a digest of all that decides it.
    """
    root = readable_folder()
    if root is None:
        return None
    place = Kept(kind, root / kind / key)
    inode = _inode(place.folder)
    if inode is None:
        return None
    try:
        about = json.loads((place.folder / ABOUT).read_text(encoding="utf-8"))
        if (about["form"], about["kind"], about["key"]) != (_FORM, kind, key):
            raise ValueError("it says that it is another entry")
        if about.pop("check") != digest(about):
            raise ValueError(f"{ABOUT} was changed")
        arrays = {name: _mapped(place.folder / f"{name}.npy", fact) for name, fact in about["arrays"].items()}
        entry = Entry(place, arrays, about["value"])
    except PermissionError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, EOFError) as error:
        if _inode(place.folder) == inode:  # else another process removed it, or wrote it again
            damaged(place, first_line(error))
        return None
    with suppress(OSError):
        os.utime(place.folder)  # when it was last used
    return entry


def damaged(place: Kept, why: str) -> None:
    """Removes an entry that is not as it was written, and says so; one that is gone already is no matter."""
    if place.folder.is_dir():
        notice(f"a kept copy of {place.kind} was damaged ({why}) and is made again: {place.folder.name[:12]}")
        remove(place)


def keep(
    kind: str, key: str, arrays: Mapping[str, np.ndarray[Any, Any]], value: Any, *, what: str, source: str
) -> Entry | None:
    """Writes an entry and reads it back; None if it is too small or too large, or cannot be written.

    Args:
        kind: what sort of entry, a word.
        key: its name, a digest of all that decides it.
        arrays: name to array, of the types in ``_TYPES``.
        value: anything of JSON.
        what: it is, for ``anchorlab cache``.
        source: where it came from, for ``anchorlab cache`` too.
    """
    size = sum(array.nbytes for array in arrays.values())
    if size < LEAST:
        return None
    root = writable_folder()
    if root is None:
        return None
    if size > limit(total()):
        return None
    about = {"form": _FORM, "kind": kind, "key": key, "what": what, "source": source, "value": value}
    folder = root / kind / key
    try:
        sweep(folder.parent)
        write_folder_atomically(folder, lambda temporary: _write(temporary, arrays, about))
    except AnchorlabError as error:
        if getattr(error.__cause__, "errno", None) not in _OTHERS:
            going_without(root, str(error).removeprefix(f"cannot write {folder}: ").partition(":")[0])
            return None
    make_room(limit(total()), besides=folder)
    return find(kind, key)


def _write(folder: Path, arrays: Mapping[str, np.ndarray[Any, Any]], about: dict[str, Any]) -> None:
    import numpy as np

    facts = {}
    for name, array in arrays.items():
        if array.dtype.name not in _TYPES:
            raise TypeError(f"arrays of {array.dtype} are not kept")
        path = folder / f"{name}.npy"
        with path.open("wb") as file:
            _save(file, np.ascontiguousarray(array))
            file.flush()
            os.fsync(file.fileno())
        facts[name] = {
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "sha256": _sha256(path),
            "state": _state(path.stat()),
        }
    with (folder / ABOUT).open("w", encoding="utf-8") as file:
        whole = about | {"arrays": facts}
        json.dump(whole | {"check": digest(whole)}, file, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())


def _save(file: BinaryIO, array: np.ndarray[Any, Any]) -> None:
    """What ``numpy.save`` writes of a contiguous array; its own way to write does not say that a disk is full."""
    import numpy as np

    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    file.write(array.reshape(-1).view(np.uint8).data)


def _mapped(path: Path, fact: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """The array in a file, if it is the one that was written.

    Raises:
        ValueError: if it is not.
        OSError: if it cannot be read.
    """
    import numpy as np

    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path.name} is no file")
    if status.st_size != fact["state"][0]:
        raise ValueError(f"{path.name} has another length")
    if _state(status) != fact["state"] and _sha256(path) != fact["sha256"]:
        raise ValueError(f"{path.name} was changed")
    # An empty array cannot be mapped. "c" keeps what a process changes to itself.
    empty = 0 in fact["shape"]
    array = np.load(path, mmap_mode=None if empty else "c", allow_pickle=False)
    if array.dtype.name not in _TYPES or array.dtype.name != fact["dtype"] or list(array.shape) != fact["shape"]:
        raise ValueError(f"{path.name} holds {array.dtype} {list(array.shape)}")
    return np.asarray(array)


def _state(status: os.stat_result) -> list[int]:
    """What changes when somebody writes to a file."""
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _inode(folder: Path) -> int | None:
    """Which folder it is, if it is one that is no link."""
    with suppress(OSError):
        status = folder.lstat()
        return status.st_ino if stat.S_ISDIR(status.st_mode) else None
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
