"""Reads suite files: YAML to a checked ``Suite``, each mistake named with its line; and the schema for editors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from anchorlab.errors import AnchorlabError, first_line, unknown
from anchorlab.suites.spec import Suite

#: The JSON schema that ships in this folder; a test keeps it that of the code.
SCHEMA = "suite.schema.json"

_BOXED = files("anchorlab.suites") / "builtin"


def boxed() -> list[str]:
    """Names of the suites in the box."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _BOXED.iterdir() if entry.name.endswith(".yaml"))


def suite_text(given: str) -> tuple[str, str]:
    """The text of a suite, and what to call it in messages.

    Args:
        given: the path of a suite file, or the name of a suite in the box.

    Raises:
        AnchorlabError: if there is neither such a file nor such a suite, or the file cannot be read.
    """
    if given in boxed():
        return (_BOXED / f"{given}.yaml").read_text(encoding="utf-8"), f"the suite {given}"
    path = Path(given)
    if not path.exists() and path.suffix not in {".yaml", ".yml"}:
        raise unknown("suite", given, boxed())
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise AnchorlabError(f"the suite file {path} cannot be read ({reason}): give a YAML file") from error


def load_suite(given: str) -> Suite:
    """Reads and checks a suite.

    Args:
        given: the path of a suite file, or the name of a suite in the box.

    Raises:
        AnchorlabError: naming the line and the key of the first mistake, and the nearest valid name.
    """
    text, where = suite_text(given)
    return parse_suite(text, where)


def parse_suite(text: str, where: str = "the suite") -> Suite:
    """Checks the text of a suite file; see ``load_suite``."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1} of " if mark else ""
        problem = getattr(error, "problem", None) or first_line(error)
        raise AnchorlabError(f"{place}{where} is not YAML: {problem}") from error
    if not isinstance(data, dict) or root is None:
        raise AnchorlabError(f"{where} is no suite: expected keys such as name, title, tasks and methods")
    for node, key in _repeated(root):
        raise AnchorlabError(
            f"line {node.start_mark.line + 1} of {where}: the key '{key}' stands there twice: keep one"
        )
    try:
        return Suite.model_validate(data)
    except ValidationError as error:
        mistakes = sorted(((_line(root, _place(one)), one) for one in error.errors()), key=lambda pair: pair[0])
        line, first = mistakes[0]
        further = f" ({len(mistakes) - 1} more after it)" if len(mistakes) > 1 else ""
        raise AnchorlabError(f"line {line} of {where}: {_complaint(first)}{further}") from error


def schema() -> str:
    """The JSON schema of a suite file, with the short forms that the file allows beside the long ones."""
    document = Suite.model_json_schema()
    properties, parts = document["properties"], document["$defs"]
    for key in ("tasks", "triggers"):
        properties[key]["items"] = {"anyOf": [{"type": "string"}, properties[key]["items"]]}
    grid = parts["MethodSpec"]["properties"]["grid"]
    long_form = properties["methods"]["additionalProperties"]
    properties["methods"]["additionalProperties"] = {"anyOf": [{"type": "null"}, grid, long_form]}
    parts["MethodSpec"].pop("required", None)  # the label stands for the method where none is named
    for key in ("references", "seeds"):
        properties[key] = {"anyOf": [{"type": "integer", "minimum": 1}, properties[key]], **_words(properties[key])}
    for key, part in (("defences", "DefenceSpec"), ("detectors", "DetectorSpec")):
        values = properties[key]["additionalProperties"]
        named = {**properties[key], "additionalProperties": {"anyOf": [{"type": "null"}, values]}}
        listed = {"type": "array", "items": {"type": "string"}}
        properties[key] = {"anyOf": [{"type": "string"}, listed, named], **_words(properties[key])}
        parts[part].pop("required", None)  # the label stands for it where none is named
    for key in ("anchors", "target_asr", "scales", "defender"):
        properties[key] = {"anyOf": [properties[key]["items"], properties[key]], **_words(properties[key])}
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}
    return json.dumps(document, indent=2) + "\n"


def _words(described: dict[str, Any]) -> dict[str, Any]:
    return {key: described[key] for key in ("description", "default") if key in described}


def _place(error: ErrorDetails) -> tuple[int | str, ...]:
    key = error.get("ctx", {}).get("key") if error["type"] == "unknown_key" else None
    return (*error["loc"], key) if key is not None else error["loc"]


def _complaint(error: ErrorDetails) -> str:
    where = ".".join(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "unknown_key":
        return f"{message}" + (f" (in {where})" if where else "")
    if error["type"] == "missing":
        return f"{where} is missing: give it"
    if error["type"] in {"value_error", "assertion_error"}:
        return f"{where}: {message}" if where else message
    return f"{where}={error['input']!r} is not possible: it {message.removeprefix('Input ')}"


def _line(root: yaml.Node, place: tuple[int | str, ...]) -> int:
    """The line of a place in the document, or of the nearest part around it that is there."""
    node, line = root, int(root.start_mark.line)
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is None:
                continue  # a key that a short form leaves out, or the name of a union's member
            key, node = found
            line = int(key.start_mark.line)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = int(node.start_mark.line)
    return line + 1


def _repeated(node: yaml.Node) -> Iterator[tuple[yaml.Node, str]]:
    """Keys that stand twice in one mapping, which YAML readers would let pass, the last one winning."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield key, key.value
            seen.add(key.value)
            yield from _repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated(item)
