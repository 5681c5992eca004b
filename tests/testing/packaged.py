"""A package on the path of imports, with the names that its ``pyproject.toml`` registers, without installing it."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from anchorlab.detectors import DETECTORS
from anchorlab.methods import METHODS
from anchorlab.metrics import METRICS
from anchorlab.repairs import REPAIRS
from anchorlab.triggers import TRIGGERS


def load_registries() -> None:
    """Reads the entry points of all that is installed, so that no registry reads those of a test's package later."""
    for registry in (METHODS, TRIGGERS, REPAIRS, DETECTORS, METRICS):
        registry.names()


def describe(folder: Path, project: dict[str, Any]) -> None:
    """Writes what an installer would write about a project into a folder."""
    name = project["name"].replace("-", "_")
    info = folder / f"{name}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (info / "top_level.txt").write_text(f"{name}\n")
    with (info / "entry_points.txt").open("w") as file:
        for group, members in project.get("entry-points", {}).items():
            file.write("".join([f"[{group}]\n", *(f"{key} = {place}\n" for key, place in members.items())]))


@contextmanager
def on_the_path(folder: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Inside, the project in ``source`` is as if it were installed; gives its ``[project]`` table.

    Args:
        folder: an empty folder, for what describes the project.
        source: with ``pyproject.toml`` and ``src``.
        monkeypatch: of the test.
    """
    load_registries()
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    describe(folder, project)
    before = set(sys.modules)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.syspath_prepend(str(source / "src"))
        yield project
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == project["name"].replace("-", "_"):
            del sys.modules[name]
