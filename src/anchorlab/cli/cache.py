"""``anchorlab cache``. It neither imports torch nor opens what is kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anchorlab.cli.answer import Answer
from anchorlab.errors import AnchorlabError, printable

if TYPE_CHECKING:
    from anchorlab.statistics.table import Table

_DAY = 24 * 3600.0

#: Characters of a source that the table shows.
_SHOWN = 22


def cache(
    *,
    clear: Annotated[bool, typer.Option("--clear", help="Remove what is kept.")] = False,
    older_than: Annotated[
        float | None,
        typer.Option(metavar="DAYS", min=0, help="With --clear: remove only what was not used for so many days."),
    ] = None,
) -> Answer:
    """Show or clear what is kept of data that were read.

    Decoded data and tokenised texts are kept in your cache, so that no process makes them again. They can all be made
    again, and the least recently used go where the limit is reached. The environment variable ANCHORLAB_CACHE names
    another folder, or says 'off'; ANCHORLAB_CACHE_LIMIT is the limit in GB.
    """
    from anchorlab.cache import upkeep
    from anchorlab.cache.place import OFF, VARIABLE, kept_folder, limit, obstacle, readable_folder

    if older_than is not None and not clear:
        raise AnchorlabError(
            "--older-than says what --clear removes, and --clear is missing: add it, or leave both out"
        )
    folder = kept_folder()
    if folder is None:
        return Answer((f"nothing is kept, because {VARIABLE} is '{OFF}'",), values=_values(None, 0, []), data=True)
    why = obstacle(folder)
    if why is not None:
        raise AnchorlabError(
            f"the cache {folder} cannot be used, because {why}: set {VARIABLE} to a folder that you may write to, "
            f"or to '{OFF}'"
        )
    removed = None
    if clear:
        removed = upkeep.clear(None if older_than is None else time.time() - older_than * _DAY)
    found = [_described(entry) for entry in sorted(upkeep.entries(), key=lambda entry: -entry.used)]
    most = limit(sum(entry["bytes"] for entry in found))
    unread = folder.exists() and readable_folder() is None
    return Answer(
        sentences=tuple(_sentences(str(folder), found, most, removed)),
        table=_table(found) if found else None,
        cautions=("it is not used, because it is a link, or others may write to it",) if unread else (),
        values=_values(str(folder), most, found) | ({} if removed is None else _removed(*removed)),
        data=True,
    )


def _described(entry: Any) -> dict[str, Any]:
    about = entry.about()
    return {
        "kind": entry.kind,
        "what": str(about.get("what", "")),
        "source": str(about.get("source", "")),
        "bytes": entry.size,
        "used": time.strftime("%Y-%m-%d", time.localtime(entry.used)),
    }


def _sentences(folder: str, found: Sequence[dict[str, Any]], most: int, removed: tuple[int, int] | None) -> list[str]:
    size = sum(entry["bytes"] for entry in found)
    said = []
    if removed is not None:
        count, freed = removed
        said.append(f"removed {_entries(count)}, {_size(freed)}")
    said.append(f"{folder} keeps {_entries(len(found))}, {_size(size)} of at most {_size(most)}")
    return said


def _entries(count: int) -> str:
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _table(found: Sequence[dict[str, Any]]) -> Table:
    from anchorlab.statistics.table import Cell, Column, Row, Rows, Table

    columns = (
        Column("source", "from", is_text=True),
        Column("bytes", "size"),
        Column("used", "last used", is_text=True),
    )
    rows = [
        Row(
            printable(entry["what"]),
            (
                Cell(_ending(printable(entry["source"]))),
                Cell(_size(entry["bytes"]), entry["bytes"]),
                Cell(entry["used"]),
            ),
        )
        for entry in found
    ]
    return Table("cache", "what is kept, the last used first", "what", columns, (Rows(rows),))


def _ending(source: str) -> str:
    """The end of a path, which says more than its beginning."""
    return source if len(source) <= _SHOWN else f"…{source[1 - _SHOWN :]}"


def _values(folder: str | None, most: int, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "folder": folder,
        "bytes": sum(entry["bytes"] for entry in found),
        "limit": most,
        "entries": list(found),
    }


def _removed(count: int, size: int) -> dict[str, Any]:
    return {"removed": {"entries": count, "bytes": size}}
