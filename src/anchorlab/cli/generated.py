"""Writes the files of this package that are made from its registries, so that commands can read them without torch.

``python -m anchorlab.cli.generated`` does it. A test holds each file equal to what this writes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from anchorlab.cli.catalogue import FILE, SECTIONS, Entry, parameters_of, points_of
from anchorlab.files import write_atomically


def catalogue() -> str:
    """The text of ``catalogue.json``; this imports everything."""
    stored = {section: list(_entries(section)) for section in SECTIONS}
    return json.dumps(stored, indent=1, ensure_ascii=False) + "\n"


def _entries(section: str) -> Iterator[Entry]:
    """The entries of a section, without those of other packages."""
    module, _, attribute = SECTIONS[section].home.partition(":")
    home = getattr(import_module(f"anchorlab.{module}"), attribute)
    describe = SECTIONS[section].describe
    if describe is None:
        yield from parameters_of(home)
        return
    others = {point.name for point in points_of(section)}
    for name in home.names():
        if name not in others:
            oracle = {"oracle": True} if section == "repairs" and _is_pruning(home[name]) else {}
            yield describe(name, home[name]) | oracle


def _is_pruning(member: type) -> bool:
    """Whether a repair has a form whose depth test data and trigger choose."""
    from anchorlab.repairs.pruning import Pruning

    return issubclass(member, Pruning)


def suite_schema() -> str:
    """The text of ``suite.schema.json``."""
    from anchorlab.suites.schema import schema

    return schema(installed=False)


#: Path below the package to what makes the text of the file.
FILES: dict[str, Callable[[], str]] = {f"cli/{FILE}": catalogue, "suites/suite.schema.json": suite_schema}

if __name__ == "__main__":
    for path, text in FILES.items():
        write_atomically(Path(__file__).parent.parent / path, text())
