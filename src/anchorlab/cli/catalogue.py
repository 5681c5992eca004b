"""What can be chosen, by section: names, summaries, parameters with types, bounds and defaults, and their sources.

What comes with anchorlab stands in ``catalogue.json``, so that ``anchorlab list`` and the completion of a shell need
neither torch nor a registry. ``generated.py`` writes the file from the registries, and a test holds the two equal.

What other packages add through entry points is imported when it is asked for, and only then; its names need no import.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from typing import Any

from anchorlab.errors import AnchorlabError, reason
from anchorlab.settings import options_of

#: One member of a section, as JSON values: name, summary, provider, and what its section says besides.
Entry = dict[str, Any]

#: The file that holds what comes with anchorlab.
FILE = "catalogue.json"

#: Who provides what the file holds.
OWN = "anchorlab"

#: Surnames before a year.
_AUTHORS = r"[A-Z][\w'-]+(?:(?:, | and )[A-Z][\w'-]+)*(?: et al\.)?"

#: Keywords of JSON Schema that bound a parameter.
BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "minLength", "maxLength", "pattern")


@dataclass(frozen=True)
class Section:
    """A section of ``anchorlab list``.

    Attributes:
        home: module and name of its registry, or of its class of hyper-parameters.
        describe: the entry of a member; None for a class, whose parameters are the entries.
        groups: entry-point groups in which other packages add members.
    """

    home: str
    describe: Callable[[str, Any], Entry] | None = None
    groups: tuple[str, ...] = ()


def _record(name: str, member: Any) -> Entry:
    """A member that has a description, such as a task."""
    words = {key: getattr(member, key) for key in ("kind", "architecture") if hasattr(member, key)}
    summary = getattr(member, "description", None) or member.definition
    return {"name": name, "summary": summary, **words, **_cited(member)}


def _class(name: str, member: type) -> Entry:
    """A class of hyper-parameters, such as a method."""
    text = inspect.getdoc(member) or ""
    entry: Entry = {"name": name, "summary": text.partition("\n")[0].replace("``", "")}
    entry |= {key: value for key in ("modality", "judges") if (value := _kind(member, key)) is not None}
    entry |= {"needs": needs} if (needs := _needs(member)) else {}
    strength = getattr(member, "strength_name", None)
    entry |= {"strength": strength} if strength else {}
    source = _source(text, inspect.getdoc(sys.modules[member.__module__]) or "")
    return entry | ({"source": source} if source else {}) | _cited(member) | {"parameters": parameters_of(member)}


def _cited(member: Any) -> Entry:
    """The papers that a member comes from: keys of ``references.bib``, or whole entries of BibTeX."""
    cites = list(getattr(member, "cites", ()))
    return {"cites": cites} if cites else {}


def _kind(member: type, key: str) -> str | None:
    """What a defence is for, or what a detector judges."""
    if key == "modality":
        value = getattr(member, "modality", None)
        return value if isinstance(value, str) else None
    bases = {base.__name__ for base in member.__mro__}
    return "model" if "ModelDetector" in bases else "input" if "InputDetector" in bases else None


def _needs(member: type) -> str:
    """What a defence needs of the network, of the task and of the user, in words; empty for nothing of note."""
    classes = getattr(member, "min_classes", 2)
    parts = [
        "an earlier version of the model that is trusted" if getattr(member, "needs_trusted", False) else "",
        str(getattr(member, "needs", "")),
        f"{classes} classes or more" if classes > 2 else "",
    ]
    return "; ".join(part for part in parts if part)


def _source(*texts: str) -> str | None:
    """Where a method comes from: the first reference in docstrings, from its authors to its number or its end."""
    words = " ".join(" ".join(texts).split())
    found = re.search(rf"{_AUTHORS} (?:19|20)\d\d\b(?:.{{0,170}}?arXiv \d{{4}}\.\d{{4,5}}|[^:;.]*)", words)
    return None if found is None else found[0].replace(" (", ", ").replace("?,", "?").rstrip(" ,)")


def parameters_of(member: type) -> list[Entry]:
    """The hyper-parameters of a class: name, type, default, description, and what bounds it."""
    from pydantic import TypeAdapter
    from pydantic_core import PydanticUndefined

    properties = TypeAdapter(member).json_schema()["properties"] if options_of(member) else {}
    found = []
    for option in options_of(member):
        entry: Entry = {"name": option.name, "type": option.type, "required": option.default is PydanticUndefined}
        entry |= {} if entry["required"] else {"default": option.default}
        entry |= {"description": option.description}
        for part in (properties[option.name], *properties[option.name].get("anyOf", ())):
            entry |= {key: part[key] for key in BOUNDS if key in part}
            entry |= {"choices": part["enum"]} if "enum" in part else {}
        found.append(entry)
    return found


SECTIONS: dict[str, Section] = {
    "tasks": Section("data:TASKS", _record, ("anchorlab.tasks",)),
    "models": Section("models.architectures:ARCHITECTURES", _record, ("anchorlab.models",)),
    "triggers": Section("triggers:TRIGGERS", _class, ("anchorlab.triggers",)),
    "label-rules": Section("attacks.label_rules:LABEL_RULES", _class, ("anchorlab.label_rules",)),
    "methods": Section("methods:METHODS", _class, ("anchorlab.methods",)),
    "repairs": Section("repairs:REPAIRS", _class, ("anchorlab.repairs", "anchorlab.defences")),
    "detectors": Section(
        "detectors:DETECTORS",
        _class,
        ("anchorlab.detectors", "anchorlab.model_detectors", "anchorlab.input_detectors"),
    ),
    "metrics": Section("metrics:METRICS", _record, ("anchorlab.metrics",)),
    "tuning": Section("injection.tuning:Tuning"),
    "training": Section("training.reference:Training"),
}


@cache
def _file() -> dict[str, list[Entry]]:
    text = (files("anchorlab.cli") / FILE).read_text(encoding="utf-8")
    stored: dict[str, list[Entry]] = json.loads(text)
    return stored


def own_entries(section: str) -> list[Entry]:
    """What comes with anchorlab in a section."""
    return list(_file()[section])


def names_in(section: str) -> list[str]:
    """The names of a section, of other packages too; nothing is imported for them."""
    own = [entry["name"] for entry in _file()[section]]
    return [*own, *(point.name for point in points_of(section) if point.name not in own)]


def summaries_in(section: str) -> dict[str, str]:
    """Name to what a member is, in one line; for a member of another package, the package. Nothing is imported."""
    summaries = {point.name: f"from the package {provider(point)}" for point in points_of(section)}
    for entry in _file()[section]:
        summaries[entry["name"]] = str(entry.get("summary", entry.get("description", "")))
    return summaries


def entries_of(section: str) -> list[Entry]:
    """All members of a section, those of other packages last.

    A package that cannot be imported has an entry with ``error`` in place of what is not known of it.
    """
    own = [entry | ({"provider": OWN} if SECTIONS[section].groups else {}) for entry in _file()[section]]
    return [*own, *(_third_party(section, point, {entry["name"] for entry in own}) for point in points_of(section))]


def oracles() -> list[str]:
    """The names of repairs in the form whose depth test data and trigger choose."""
    return [f"oracle-{entry['name']}" for entry in _file()["repairs"] if entry.get("oracle")]


def suites() -> dict[str, str]:
    """Name of each built-in suite to its title, from the first lines of its file."""
    found = {}
    folder = files("anchorlab.suites") / "builtin"
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.endswith(".yaml"):
            title = re.search(r"^title: *(.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
            found[path.name.removesuffix(".yaml")] = "" if title is None else title[1].strip("'\"")
    return found


def points_of(section: str) -> list[EntryPoint]:
    """The members that other packages add to a section; nothing is imported."""
    return [point for group in SECTIONS[section].groups for point in entry_points(group=group)]


def provider(point: EntryPoint) -> str:
    """The package that an entry point comes from."""
    return point.dist.name if point.dist is not None else point.value.partition(".")[0].partition(":")[0]


def _third_party(section: str, point: EntryPoint, own: Iterable[str]) -> Entry:
    found: Entry = {"name": point.name, "provider": provider(point)}
    try:
        if point.name in own:
            raise AnchorlabError(f"anchorlab has a member of this name: {provider(point)} must choose another")
        describe = SECTIONS[section].describe
        assert describe is not None  # because a class has no entry points
        return describe(point.name, point.load()) | found
    except Exception as error:  # whatever a package of somebody else does
        return found | {"summary": "", "error": reason(error)}
