"""What stands in a folder of the user's: hidden things never count, and links that lead in a circle are refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from anchorlab.errors import AnchorlabError, is_utf8

#: Folders that systems and programs leave behind, besides all whose names begin with a dot.
_HIDDEN = {"__macosx", "__pycache__", "$recycle.bin", "system volume information", "lost+found", "@eadir"}


def visible(folder: Path) -> list[Path]:
    """What stands in a folder, by name, without what is hidden.

    Raises:
        AnchorlabError: if the folder cannot be listed, or a name in it is not UTF-8.
    """
    try:
        content = sorted(folder.iterdir())
    except OSError as error:
        raise AnchorlabError(
            f"the folder {folder} cannot be listed ({error.strerror or error}): make it readable, or give another"
        ) from error
    found = [path for path in content if not is_hidden(path.name)]
    for path in found:
        if not is_utf8(path.name):
            raise AnchorlabError(f"the name of {path} is not UTF-8: rename it")
    return found


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or a system or an editor keeps it for itself."""
    return name.startswith((".", "~$")) or name.lower() in _HIDDEN


def files_below(folder: Path) -> Iterator[Path]:
    """All visible things in a folder and in those below it that are no folders, by their names; links are followed.

    Raises:
        AnchorlabError: as ``visible`` does, and for a link that leads back to a folder above it.
    """
    yield from _files_below(folder, frozenset())


def _files_below(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    content = visible(folder)
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise AnchorlabError(f"the link {folder} leads back to a folder above it: remove it")
    for path in content:
        if path.is_dir():
            yield from _files_below(path, above | {here})
        else:
            yield path


def below(path: Path, folder: Path) -> str:
    """The name of a path from a folder on."""
    return path.relative_to(folder).as_posix()
