"""The files that data are read from: what tells that one has changed, and a hash of what all hold."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anchorlab.data.folders import is_hidden
from anchorlab.errors import AnchorlabError
from anchorlab.files import user_path

#: A file that was changed so recently may change again without a new time, because clocks of disks are coarse: ns.
_TICK = 2 * 10**9

#: Files in one folder of data, above which nothing is kept of it.
_MOST = 2_000_000

_AT_ONCE = 2**22


@dataclass(frozen=True)
class SourceFiles:
    """The visible files and folders of some data, as the disk describes them; links are followed.

    Attributes:
        form: whether the data are one file or a folder, because a file alone is read otherwise than in a folder.
        paths: of each, in order; a folder's too.
        names: from the folder of the data on, with a slash at the end of a folder's.
        facts: size, times, inode and device of each; of folders nothing.
        seen: when this was looked at, in ns since 1970.
    """

    form: Literal["file", "folder", "hub"]
    paths: tuple[Path, ...]
    names: tuple[str, ...]
    facts: tuple[tuple[int, ...], ...]
    seen: int

    @property
    def state(self) -> str:
        """SHA-256 of names, sizes, times and inodes: another one after any change, and where files were moved."""
        digest = hashlib.sha256(f"{self.form}\0".encode())
        for name, fact in zip(self.names, self.facts, strict=True):
            digest.update(f"{name}\0{fact}\0".encode(errors="surrogateescape"))
        return digest.hexdigest()

    @property
    def settled(self) -> bool:
        """Whether another change of any file would change its time, so that equal states are equal contents."""
        return all(self.seen - fact[2] > _TICK for fact in self.facts if fact)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(fact[0] for fact in self.facts if fact)

    def content(self) -> str:
        """SHA-256 of the form, of the names and of what the files hold, wherever they lie.

        Raises:
            OSError: if one cannot be read.
        """
        digest = hashlib.sha256(f"{self.form}\0".encode())
        for path, name, fact in zip(self.paths, self.names, self.facts, strict=True):
            written = name.encode(errors="surrogateescape")
            digest.update(f"{len(written)}\0".encode() + written)
            if fact:
                digest.update(f"{fact[0]}\0".encode())
                with path.open("rb") as file:
                    while piece := file.read(_AT_ONCE):
                        digest.update(piece)
        return digest.hexdigest()


def files_at(data: str | None) -> SourceFiles | None:
    """The files of data of this machine: one file, or all that is visible in a folder; None for all else.

    What cannot be read, and links that lead in a circle, give None too: whoever reads the data says what is wrong.
    """
    try:
        path = user_path(data or "")
        root = path.stat()
        if stat.S_ISREG(root.st_mode):
            return _described("file", [(path, path.name, root)])
        return _described("folder", _below(path, "", frozenset())) if stat.S_ISDIR(root.st_mode) else None
    except (OSError, ValueError, AnchorlabError):
        return None


def files_named(paths: Iterable[Path]) -> SourceFiles | None:
    """The same for files that are known, such as those of a data set of the hub."""
    try:
        return _described("hub", ((path, path.name, path.stat()) for path in paths))
    except (OSError, ValueError):
        return None


def _below(folder: Path, name: str, above: frozenset[tuple[int, int]]) -> Iterator[tuple[Path, str, os.stat_result]]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise ValueError(f"{folder} leads back")
    with os.scandir(folder) as content:
        found = sorted((one.name, one.stat()) for one in content if not is_hidden(one.name))
    for own, status in found:
        if stat.S_ISDIR(status.st_mode):
            yield folder / own, f"{name}{own}/", status
            yield from _below(folder / own, f"{name}{own}/", above | {here})
        else:
            yield folder / own, name + own, status


def _described(
    form: Literal["file", "folder", "hub"], found: Iterable[tuple[Path, str, os.stat_result]]
) -> SourceFiles | None:
    seen = time.time_ns()
    paths: list[Path] = []
    names: list[str] = []
    facts: list[tuple[int, ...]] = []
    for path, name, status in found:
        if len(paths) == _MOST or not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            return None
        paths.append(path)
        names.append(name)
        facts.append(_facts(status) if stat.S_ISREG(status.st_mode) else ())
    return SourceFiles(form, tuple(paths), tuple(names), tuple(facts), seen)


def _facts(status: os.stat_result) -> tuple[int, ...]:
    """Size, time of the last write, time of the last change of any kind, inode and device.

    Nobody can set the time of the last change, except on Windows, where it is the time of creation.
    """
    changed = max(status.st_mtime_ns, status.st_ctime_ns) if os.name == "nt" else status.st_ctime_ns
    return status.st_size, status.st_mtime_ns, changed, status.st_ino, status.st_dev
