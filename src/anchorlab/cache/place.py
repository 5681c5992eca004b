"""Where anchorlab keeps what it can make again, and how much of it: one rule for all that lies in the user's cache."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from anchorlab.errors import AnchorlabError, quoted
from anchorlab.files import user_path
from anchorlab.notices import notice

#: The environment variable that names another place, and what it says to keep nothing at all.
VARIABLE = "ANCHORLAB_CACHE"
OFF = "off"

#: The environment variable with the most that is kept, in GB.
LIMIT_VARIABLE = "ANCHORLAB_CACHE_LIMIT"

#: The most that is kept where nobody says it: bytes, and a share of the free disk.
_MOST = 20 * 10**9
_SHARE = 0.25

#: The folder of entries in the user's cache; other things, such as downloads, lie beside it.
_KEPT = "kept"


class NoHome(AnchorlabError):  # noqa: N818  (it says what is missing)
    """A user without a home folder, as in a container, has no cache."""


def user_cache() -> Path:
    """Anchorlab's folder in the user's cache, whether it is there or not.

    It is the folder that the variable ``ANCHORLAB_CACHE`` names, or else the system's usual one.

    Raises:
        NoHome: if there is neither.
    """
    given = os.environ.get(VARIABLE, "")
    if given and given != OFF:
        return user_path(given).absolute()
    from platformdirs import user_cache_path

    with suppress(RuntimeError):
        folder = user_cache_path("anchorlab", appauthor=False)
        if folder.is_absolute():  # older versions of platformdirs leave the ~ where it is
            return folder
    raise NoHome(f"this user has no home folder, expected one with a cache: set {VARIABLE} to a folder, or to '{OFF}'")


def kept_folder() -> Path | None:
    """The folder of what is kept, whether it is there or not; None if the user wants nothing kept.

    Raises:
        NoHome: as ``user_cache`` does.
    """
    return None if os.environ.get(VARIABLE) == OFF else user_cache() / _KEPT


def readable_folder() -> Path | None:
    """The folder of what is kept, if it is there and is this user's own; None otherwise.

    What others may write is not read, because it could hold anything.
    """
    with suppress(OSError, NoHome):
        folder = kept_folder()
        if folder is not None and _is_own(folder.lstat()):
            return folder
    return None


def writable_folder() -> Path | None:
    """The folder of what is kept, made for this user alone if it is not there; None, with a notice, if it cannot be."""
    try:
        folder = kept_folder()
    except NoHome as error:
        notice(f"nothing is kept, so that data are read again each time, because {error}")
        return None
    if folder is None:
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_own(folder.lstat()):
            why = "it is a link, or others may write to it"
        elif os.access(folder, os.W_OK | os.X_OK):
            return folder
        else:
            why = "it is read-only"
    except OSError as error:
        why = error.strerror or str(error)
    going_without(folder, why)
    return None


def obstacle(folder: Path) -> str | None:
    """Why nothing can lie in a folder, whether it is there or not; None where nothing stands against it. Makes nothing.

    A folder that is a link, or that others may write to, is another matter: it is there, and is not used.
    """
    for place in (folder, *folder.parents):
        try:
            status = place.lstat() if place == folder else place.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            return error.strerror or str(error)
        if not stat.S_ISDIR(status.st_mode) and not stat.S_ISLNK(status.st_mode):
            return f"{place} is a file"
        needed = (os.R_OK | os.X_OK) if place == folder else (os.W_OK | os.X_OK)
        if os.access(place, needed):
            return None
        return f"you may not {'read' if place == folder else 'write to'} {place}"
    return None


def _is_own(status: os.stat_result) -> bool:
    """Whether something is a folder, no link, of this user, and others may not write to it."""
    mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    return stat.S_ISDIR(status.st_mode) and mine and not (os.name == "posix" and status.st_mode & 0o022)


def going_without(folder: Path, why: str) -> None:
    """Says once that nothing is kept, and how to mend it."""
    notice(
        f"nothing can be kept in {folder} ({why}), so that data are read again each time: set {VARIABLE} to another "
        f"folder, or to '{OFF}'"
    )


def limit(kept: int) -> int:
    """The most bytes that are kept.

    Args:
        kept: bytes that are kept already.

    Raises:
        AnchorlabError: if ``ANCHORLAB_CACHE_LIMIT`` is no number of GB.
    """
    given = os.environ.get(LIMIT_VARIABLE, "")
    if given:
        try:
            gigabytes = float(given)
        except ValueError:
            gigabytes = -1
        if not 0 <= gigabytes < float("inf"):
            raise AnchorlabError(f"{LIMIT_VARIABLE} is {quoted(given, 20)}, expected a number of GB: write one like 20")
        return int(gigabytes * 10**9)
    folder = kept_folder()
    with suppress(OSError):
        if folder is not None:
            return min(_MOST, int(_SHARE * (shutil.disk_usage(folder).free + kept)))
    return _MOST
