"""Small values of JSON that are kept by what decides them, such as a hash that takes long to make."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from anchorlab.cache.place import readable_folder, writable_folder
from anchorlab.cache.store import digest
from anchorlab.cache.upkeep import NOTES
from anchorlab.errors import AnchorlabError
from anchorlab.files import write_atomically


def recall(key: str) -> Any:
    """The value that was noted under a digest; None if there is none, it cannot be read, or it was changed."""
    root = readable_folder()
    if root is None:
        return None
    try:
        note = json.loads(_file(root, key).read_text(encoding="utf-8"))
        return note["value"] if note["of"] == key and note["check"] == digest(key, note["value"]) else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def note(key: str, value: Any) -> None:
    """Notes a value under a digest; where nothing can be written, nothing is."""
    root = writable_folder()
    if root is not None:
        with suppress(AnchorlabError):
            write_atomically(_file(root, key), json.dumps({"of": key, "check": digest(key, value), "value": value}))


def _file(root: Path, key: str) -> Path:
    return root / NOTES / f"{key}.json"
