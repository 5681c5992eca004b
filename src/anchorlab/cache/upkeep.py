"""What lies in the cache, and how it goes: the least recently used first, and nothing that is not ours."""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anchorlab.cache.place import readable_folder
from anchorlab.files import sweep

#: The file that says what an entry is.
ABOUT = "about.json"

#: Names of kinds, of entries, and of the files in one.
_KIND = re.compile(r"[a-z]+")
_KEY = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"about\.json|[a-z_.]+\.npy")

#: The folder of small values, and its files.
NOTES = "notes"
_NOTE = re.compile(r"[0-9a-f]{64}\.json")
_MOST_NOTES = 10_000


@dataclass(frozen=True)
class Kept:
    """An entry by its place, unread.

    Attributes:
        kind: what sort of entry.
        folder: that holds it.
    """

    kind: str
    folder: Path

    @property
    def size(self) -> int:
        """Bytes of its files."""
        total = 0
        with suppress(OSError), os.scandir(self.folder) as files:
            for file in files:
                with suppress(OSError):
                    total += file.stat(follow_symlinks=False).st_size
        return total

    @property
    def used(self) -> float:
        """When it was last used, in seconds since 1970; 0 if it is gone."""
        try:
            return self.folder.stat().st_mtime
        except OSError:
            return 0.0

    def about(self) -> dict[str, Any]:
        """What it says of itself; empty if that cannot be read."""
        with suppress(OSError, ValueError, RecursionError):
            about = json.loads((self.folder / ABOUT).read_text(encoding="utf-8"))
            if isinstance(about, dict):
                return about
        return {}


def entries() -> Iterator[Kept]:
    """All entries, of all kinds; links are not followed."""
    root = readable_folder()
    for kind in _folders(root, _KIND):
        for folder in _folders(kind, _KEY):
            yield Kept(kind.name, folder)


def total() -> int:
    """Bytes of all entries."""
    return sum(entry.size for entry in entries())


def remove(entry: Kept) -> int:
    """Removes an entry; returns the bytes that it had, or 0 if it stays because it holds something that is not ours."""
    size = entry.size
    try:
        files = list(os.scandir(entry.folder))
        if any(file.is_dir(follow_symlinks=False) or not _FILE.fullmatch(file.name) for file in files):
            return 0
        # A reader finds the whole entry or none. What a killed process leaves of it is swept up as a temporary folder.
        gone = Path(tempfile.mkdtemp(dir=entry.folder.parent, prefix=f".{entry.folder.name}.", suffix=".tmp"))
        entry.folder.replace(gone)
        for file in files:
            (gone / file.name).unlink()
        gone.rmdir()
    except OSError:
        return 0
    return size


def make_room(most: int, besides: Path) -> None:
    """Removes the least recently used entries until what is left takes no more than ``most`` bytes.

    Args:
        most: bytes.
        besides: the folder of an entry that stays.
    """
    sizes = {entry: entry.size for entry in sorted(entries(), key=lambda entry: entry.used)}
    size = sum(sizes.values())
    for entry, its in sizes.items():
        if size <= most:
            break
        if entry.folder != besides:
            size -= its
            remove(entry)
    _remove_notes(_MOST_NOTES)


def clear(before: float | None = None) -> tuple[int, int]:
    """Removes entries, and what killed processes left; returns how many entries these were, and their bytes.

    Args:
        before: seconds since 1970: only entries that were last used earlier go, and small values stay; None for all.
    """
    count = size = 0
    for entry in list(entries()):
        if before is None or entry.used < before:
            freed = remove(entry)
            count, size = count + (freed > 0), size + freed
    root = readable_folder()
    for kind in _folders(root, _KIND):
        sweep(kind)
        with suppress(OSError):
            if before is None:
                kind.rmdir()  # stays where it holds anything
    if before is None:
        _remove_notes(0)
    return count, size


def _remove_notes(most: int) -> None:
    """Removes the oldest small values, and leaves as many as ``most``."""
    root = readable_folder()
    if root is None:
        return
    found: list[tuple[float, Path]] = []
    with suppress(OSError), os.scandir(root / NOTES) as files:
        found = [
            (file.stat(follow_symlinks=False).st_mtime, Path(file.path))
            for file in files
            if _NOTE.fullmatch(file.name) and stat.S_ISREG(file.stat(follow_symlinks=False).st_mode)
        ]
    for _, path in sorted(found)[: max(0, len(found) - most)]:
        with suppress(OSError):
            path.unlink()
    if most == 0:
        with suppress(OSError):
            (root / NOTES).rmdir()


def _folders(folder: Path | None, name: re.Pattern[str]) -> list[Path]:
    """The folders in a folder that are called so, by name; none that is a link."""
    found: list[Path] = []
    if folder is not None:
        with suppress(OSError), os.scandir(folder) as content:
            found = [
                Path(one.path) for one in content if name.fullmatch(one.name) and one.is_dir(follow_symlinks=False)
            ]
    return sorted(found)
