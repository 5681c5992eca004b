"""What ``--verbose`` says of the surroundings: versions, places of files, device and threads."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

from anchorlab import __version__

#: Packages that decide numbers.
_PACKAGES = ("torch", "transformers", "accelerate", "datasets", "numpy", "pydantic")


def surroundings(*, computes: bool) -> Iterator[str]:
    """Lines about versions and places, or, with ``computes``, about device and threads, for which torch is imported."""
    if computes:
        yield _computation()
        return
    versions = ", ".join(f"{name} {found}" for name in _PACKAGES if (found := _version(name)) is not None)
    yield f"anchorlab {__version__} in {files('anchorlab')}, Python {platform.python_version()}, {versions}"
    cache = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    yield f"downloads of the hub are kept in {cache}; paths are below {Path.cwd()}"


def _computation() -> str:
    import torch

    from anchorlab.models.accelerator import find_device

    device = find_device()
    name = f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
    threads = torch.get_num_threads()
    return f"computing on {device}{name}, {threads} thread{'' if threads == 1 else 's'}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
