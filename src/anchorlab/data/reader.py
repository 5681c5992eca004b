"""What reads data, as one hash: where it differs, nothing that was kept is used again."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: Libraries whose versions may change what is read.
_LIBRARIES = ("pillow", "pyarrow", "datasets", "numpy", "tokenizers", "transformers")


@lru_cache(maxsize=1)
def reader() -> str:
    """SHA-256 of what reads data: the code of this room, and the versions of the libraries that it uses."""
    digest = hashlib.sha256()
    room = Path(__file__).parent
    for path in sorted(room.rglob("*.py")):
        digest.update(path.relative_to(room).as_posix().encode() + path.read_bytes())
    for library in _LIBRARIES:
        try:
            digest.update(f"{library} {version(library)}\0".encode())
        except PackageNotFoundError:
            digest.update(f"{library}\0".encode())
    return digest.hexdigest()
