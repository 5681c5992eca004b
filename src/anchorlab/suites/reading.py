"""Reads suite files: YAML to a checked ``Suite``, each mistake named with its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from anchorlab.arguments import checked
from anchorlab.errors import AnchorlabError, quoted, shortened
from anchorlab.settings import expected
from anchorlab.suites.parts import RepairSpec, TriggerSpec
from anchorlab.suites.source import suite_text
from anchorlab.suites.spec import Suite
from anchorlab.suites.yaml_text import parse_yaml

#: Maps the present name of a key to its former name, in any part of a file.
_FORMER_KEYS = {
    present: former for part in (Suite, TriggerSpec, RepairSpec) for former, present in part.former_keys.items()
}


class SuiteMistakes(AnchorlabError):  # noqa: N818  (it says what they are)
    """All mistakes that were found in a suite file; the text has the first one, and how many come after it.

    Attributes:
        mistakes: a sentence each, with its line.
    """

    def __init__(self, mistakes: Sequence[str]) -> None:
        further = f" ({len(mistakes) - 1} more after it)" if len(mistakes) > 1 else ""
        super().__init__(f"{mistakes[0]}{further}")
        self.mistakes = tuple(mistakes)

    def __reduce__(self) -> tuple[type[SuiteMistakes], tuple[tuple[str, ...]]]:
        return type(self), (self.mistakes,)


@checked
def load_suite(given: str | Path) -> Suite:
    """Reads and checks a suite.

    Args:
        given: the path of a suite file, or the name of a built-in suite.

    Raises:
        SuiteMistakes: an AnchorlabError that names the line and the key of each mistake, and the nearest valid name.
        AnchorlabError: if there is no such suite, or it is not YAML.
    """
    text, where = suite_text(given)
    return parse_suite(text, where)


def parse_suite(
    text: str, where: str = "the suite", pictures: Mapping[str, str] | None = None, *, ran: bool = False
) -> Suite:
    """Checks the text of a suite file; see ``load_suite``.

    Args:
        text: the file.
        where: its name in messages.
        pictures: pictures in base64 by the texts of their triggers, which are taken in place of their files.
        ran: whether it is one that ran, whose results are read, so that folders of its models need not be there.
    """
    root, data = parse_yaml(text, where)
    try:
        return Suite.model_validate(data, context={"pictures": pictures or {}, "ran": ran})
    except ValidationError as error:
        found = sorted(((_line(root, _path(item)), item) for item in error.errors()), key=lambda pair: pair[0])
        raise SuiteMistakes([f"line {line} of {where}: {_complaint(item)}" for line, item in found]) from error


def _path(error: ErrorDetails) -> tuple[int | str, ...]:
    key = error.get("ctx", {}).get("key") if error["type"] == "unknown_key" else None
    return (*error["loc"], key) if key is not None else error["loc"]


def _complaint(error: ErrorDetails) -> str:
    where = ".".join(shortened(str(part)) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "unknown_key":
        return f"{message}" + (f" (in {where})" if where else "")
    if error["type"] == "missing":
        return f"{where} is missing: give it"
    if error["type"] in {"value_error", "assertion_error"}:
        return f"{where}: {message}" if where else message
    return f"{where}={quoted(error['input'])} is not possible: it {expected(error)}"


def _line(root: yaml.Node, path: tuple[int | str, ...]) -> int:
    """The line of a part of the document, or of the nearest part around it that is there."""
    node, line = root, int(root.start_mark.line)
    for key in path:
        if isinstance(node, yaml.MappingNode):
            names = (str(key), _FORMER_KEYS.get(str(key)))
            item = next((item for item in node.value if item[0].value in names), None)
            if item is None:
                continue  # a key that a short form leaves out, or the name of a union's member
            line, node = int(item[0].start_mark.line), item[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = int(node.start_mark.line)
    return line + 1
