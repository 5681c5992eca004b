"""Refuses to replace what another program or a person wrote into the folder of a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from anchorlab.errors import AnchorlabError, removal
from anchorlab.files import explained, kind_at
from anchorlab.reports.html import PAGE

#: What the last line of every page says.
_SIGN = b"<footer><p>Written by anchorlab"


def refuse_foreign(record: Path, command: str, read: Callable[[], object], files: Sequence[str] = ()) -> None:
    """Refuses a folder whose files the command did not write, before they are replaced.

    Args:
        record: the file that tells a folder that the command wrote.
        command: the command, for messages.
        read: reads the record, and raises AnchorlabError for one that the command did not write.
        files: the names of what the command writes beside the record, such as the page.

    Raises:
        AnchorlabError: naming the file, if the record is none of the command's, or one of the files stands without a
            record.
    """
    foreign = None
    if record.exists():
        try:
            read()
        except AnchorlabError:
            foreign = record
    else:
        foreign = next((record.parent / name for name in files if (record.parent / name).exists()), None)
    if foreign is not None:
        raise AnchorlabError(
            f"{foreign} is none that '{command}' wrote: choose another folder, or remove it, by {removal(foreign)}"
        )


def refuse_foreign_page(folder: Path) -> None:
    """Refuses a folder whose page no command wrote; its last line tells it, because ``report`` leaves no record."""
    page = folder / PAGE
    if kind_at(page) == "file":
        refuse_foreign(page, "anchorlab report", lambda: _check_sign(page))


def _check_sign(page: Path) -> None:
    with explained(page):
        text = page.read_bytes()
    if _SIGN not in text:
        raise AnchorlabError(f"{page} is no page of anchorlab: choose another folder")
