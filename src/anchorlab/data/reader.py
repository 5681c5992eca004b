"""What reads data, as one hash: where it differs, nothing that was kept is used again."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: Libraries whose versions may change what is read.
_LIBRARIES = ("pillow", "pyarrow", "datasets", "numpy", "tokenizers", "transformers")


#: Modules besides this room's that have a part in what is read, and in its notes.
_MODULES = ("errors.py", "files.py")


def reader() -> str:
    """SHA-256 of what reads data: the code of this room, and the versions of Python and of the libraries it uses."""
    return _READER


def _reader() -> str:
    digest = hashlib.sha256(f"python {platform.python_version()}\0".encode())
    package = Path(__file__).parents[1]
    for path in (*sorted(Path(__file__).parent.rglob("*.py")), *(package / name for name in _MODULES)):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    for library in _LIBRARIES:
        try:
            digest.update(f"{library} {version(library)}\0".encode())
        except PackageNotFoundError:
            digest.update(f"{library}\0".encode())
    return digest.hexdigest()


#: Of the code that this process runs: made at once, because files may be exchanged while it runs.
_READER = _reader()
