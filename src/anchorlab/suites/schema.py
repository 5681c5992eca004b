"""The JSON schema of a suite file, for editors: all keys, short forms too, with the names and bounds of what there is.

It is weaker than ``anchorlab suite check``, never stronger: what the schema refuses, the check refuses too. What no
schema can say, such as that a grid is a geometric progression, the check alone says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from anchorlab.attacks.label_rules import LABEL_RULES
from anchorlab.data import TASKS
from anchorlab.detectors import DETECTORS
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS, Method
from anchorlab.models.architectures import ARCHITECTURES
from anchorlab.registry import Registry
from anchorlab.repairs import REPAIRS
from anchorlab.repairs.oracles import oracles
from anchorlab.settings import LARGEST_SEED, options_of
from anchorlab.suites.parts import RepairSpec, TriggerSpec
from anchorlab.suites.short_forms import MOST_SEEDS
from anchorlab.suites.spec import Suite
from anchorlab.training.reference import Training
from anchorlab.triggers import TRIGGERS

Schema = dict[str, Any]

#: The schema that ships in this folder, without the names of other packages.
SCHEMA = "suite.schema.json"

#: A number as text: YAML reads 1e-3 so, because it has no decimal point.
_NUMBER = r"^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$"

#: Signs that a path or a hub name has and a registered name has not.
_PLACE = r"[/.~]"

#: Parameters of label rules that the task or another key gives.
_GIVEN = {"target", "classes"}


def schema(*, installed: bool = True) -> str:
    """The JSON schema of a suite file.

    Args:
        installed: whether names are in it that other packages add; the file that ships has those of anchorlab alone.
    """
    return json.dumps(_Document(installed).build(), indent=1, ensure_ascii=False) + "\n"


def with_schema(text: str) -> str:
    """The text of a suite file for a copy anywhere on this machine: its first line names the schema that is installed.

    Editors that know YAML read that line. A file without one is left as it is.
    """
    installed = Path(str(files("anchorlab.suites") / SCHEMA)).as_uri()
    return re.sub(r"\A(# yaml-language-server: \$schema=)\S+", rf"\g<1>{installed}", text)


class _Document:
    """The schema as it is built: pydantic's own, into which names, bounds and short forms are put."""

    def __init__(self, installed: bool) -> None:
        self.installed = installed
        self.root: Schema = _without_titles(Suite.model_json_schema())
        self.keys: Schema = self.root["properties"]
        self.parts: Schema = self.root["$defs"]

    def names(self, registry: Registry[Any]) -> list[str]:
        return registry.names() if self.installed else [name for name in registry.names() if name in registry.built_in]

    def build(self) -> Schema:
        self._tasks()
        self._triggers()
        tuning = settings_schema(Tuning)
        self.keys["tuning"] |= tuning | {"properties": {**tuning["properties"], "stop_at_asr": {"type": "null"}}}
        self.parts["MethodSpec"]["properties"]["tuning"] |= tuning
        self._methods()
        repairs = {name: REPAIRS[name.removeprefix("oracle-")] for name in (*self.names(REPAIRS), *self._oracles())}
        self._defences("repairs", "repair", repairs)
        self._defences("detectors", "detector", {name: DETECTORS[name] for name in self.names(DETECTORS)})
        self._numbers()
        for described, part in ((self.root, Suite), *((self.parts[one.__name__], one) for one in _WITH_FORMER)):
            for former, present in part.former_keys.items():
                words = {"description": f"former name of {present}", "deprecated": True}
                described["properties"][former] = {**described["properties"][present], **words}
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **self.root}

    def _oracles(self) -> list[str]:
        return [name for name in oracles() if name.removeprefix("oracle-") in self.names(REPAIRS)]

    def _tasks(self) -> None:
        named = {"enum": self.names(TASKS)}
        part = self.parts["TaskSpec"]
        part["properties"]["name"] |= {"type": "string"}
        part["if"] = {"required": ["columns"], "properties": {"columns": {"type": "object"}}}
        part["else"] = {"properties": {"name": {"anyOf": [named, {"type": "string", "pattern": _PLACE}]}}}
        place = {"type": "string", "pattern": _PLACE}
        part["properties"]["model"]["anyOf"] = [{"enum": self.names(ARCHITECTURES)}, place, {"type": "null"}]
        part["properties"]["training"] |= settings_schema(Training)
        _allow_single(self.keys["tasks"], {"anyOf": [named, place, self.keys["tasks"]["items"]]})

    def _triggers(self) -> None:
        patterns = [text_pattern(name, options_names(TRIGGERS[name])) for name in self.names(TRIGGERS)]
        rules = {name: options_names(LABEL_RULES[name]) for name in self.names(LABEL_RULES)}
        rule_patterns = [text_pattern(name, [key for key in keys if key not in _GIVEN]) for name, keys in rules.items()]
        part = self.parts["TriggerSpec"]["properties"]
        part["trigger"]["pattern"] = f"^({'|'.join(patterns)})$"
        part["label_rule"]["pattern"] = f"^({'|'.join(rule_patterns)})$"
        part["target"]["anyOf"] = [{"type": "integer", "minimum": 0}, {"type": "string"}, {"type": "null"}]
        text = {"type": "string", "pattern": part["trigger"]["pattern"]}
        _allow_single(self.keys["triggers"], {"anyOf": [text, self.keys["triggers"]["items"]]})

    def _methods(self) -> None:
        part, key = self.parts["MethodSpec"], self.keys["methods"]
        grid = part["properties"]["grid"]
        grid |= {"items": number({"type": "number", "exclusiveMinimum": 0}), "minItems": 2}
        members = {name: METHODS[name] for name in self.names(METHODS)}
        self._choose("methods", "method", members)
        for name, described in key["properties"].items():
            if not _has_no_strength(members[name]):
                described["anyOf"].insert(1, grid)

    def _defences(self, key: str, name: str, members: Mapping[str, type]) -> None:
        self._choose(key, name, members)
        labelled = self.keys[key]
        one = {"type": "string", "enum": list(members)}
        several = {"type": "array", "items": one, "uniqueItems": True}
        self.keys[key] = {"anyOf": [one, several, labelled]} | _words(labelled)

    def _choose(self, key: str, name: str, members: Mapping[str, type]) -> None:
        """A mapping from label to member: the label names the member where the key ``name`` does not.

        Args:
            key: of the suite, such as ``methods``.
            name: the key that names a member, such as ``method``.
            members: name to class of hyper-parameters.
        """
        spec = f"{name.capitalize()}Spec"
        part, reference = self.parts[spec], {"$ref": f"#/$defs/{spec}"}
        part.pop("required", None)
        part["properties"][name]["enum"] = list(members)
        former = [old for old, new in _FORMER.get(spec, {}).items() if new == name]
        named = {"anyOf": [{"required": [word]} for word in (name, *former)]}
        parameters: dict[str, Schema] = {}
        for member, cls in members.items():
            self.parts[f"{name}-{member}"] = settings_schema(cls)
            then: Schema = {"properties": {"set": {"$ref": f"#/$defs/{name}-{member}"}}}
            if issubclass(cls, Method) and _has_no_strength(cls):
                then["properties"]["grid"] = {"maxItems": 0}
            parameters[member] = then
        part["allOf"] = [
            {"if": {"required": [word], "properties": {word: {"const": member}}}, "then": parameters[member]}
            for member in members
            for word in (name, *former)
        ]
        described = self.keys[key]
        described["properties"] = {
            member: {
                "anyOf": [
                    {"type": "null"},
                    {"allOf": [reference, {"if": {"not": named}, "then": parameters[member]}]},
                ],
                "description": _summary(cls),
            }
            for member, cls in members.items()
        }
        described["additionalProperties"] = {"allOf": [reference, named]}

    def _numbers(self) -> None:
        seed = {"type": "integer", "minimum": 0, "maximum": LARGEST_SEED}
        count = {"anyOf": [{"type": "integer", "minimum": 1}, {"const": "all"}]}
        rate = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
        several = {"type": "integer", "minimum": 1, "maximum": MOST_SEEDS}
        positive = {"type": "number", "exclusiveMinimum": 0}
        scale = {"type": "number", "exclusiveMinimum": 0, "maximum": 10}
        for key, item, single in (
            ("references", seed, several),
            ("seeds", seed, several),
            ("anchors", count, count),
            ("defender", count, count),
            ("target_asr", rate, rate),
            ("scales", scale, scale),
        ):
            _allow_single(self.keys[key], item, single, uniqueItems=True)
        _allow_single(self.keys["learning_rates"], positive, uniqueItems=True, minItems=0)
        selection = self.parts["SelectionSpec"]["properties"]
        selection["seeds"] |= {"items": seed, "uniqueItems": True}
        _allow_single(selection["references"], seed, several, uniqueItems=True)


_WITH_FORMER = (TriggerSpec, RepairSpec)
_FORMER = {part.__name__: part.former_keys for part in _WITH_FORMER}


def settings_schema(cls: type) -> Schema:
    """The schema of a class of hyper-parameters: a mapping with its parameters alone."""
    if not options_of(cls):
        return {"type": "object", "additionalProperties": False, "properties": {}}
    try:
        document = _without_titles(TypeAdapter(cls).json_schema())
    except Exception:  # a parameter of somebody else's, of a type that JSON has no word for
        document = {"properties": {option.name: {"description": option.description} for option in options_of(cls)}}
    properties = {name: number(described) for name, described in document["properties"].items()}
    definitions = {"$defs": document["$defs"]} if "$defs" in document else {}
    return {"type": "object", "additionalProperties": False, "properties": properties, **definitions}


def number(described: Schema) -> Schema:
    """The schema of a value, which may also be a number written as text where it may be a number."""
    forms = described.get("anyOf", [described])
    if not any(form.get("type") in ("number", "integer") for form in forms):
        return described
    bare = [{key: value for key, value in form.items() if key not in ("description", "default")} for form in forms]
    return _words(described) | {"anyOf": [*bare, {"type": "string", "pattern": _NUMBER}]}


def text_pattern(name: str, keys: list[str]) -> str:
    """A regular expression of a member as one line of text names it, see ``settings.parse_spec``; not anchored."""
    if not keys:
        return f"{re.escape(name)}:?"
    pair = f"({'|'.join(map(re.escape, keys))})=[^,]*"
    return f"{re.escape(name)}(:([^=]*|([^,=]*|{pair})(,{pair})*))?"


def options_names(cls: type) -> list[str]:
    """The names of the hyper-parameters of a class."""
    return [option.name for option in options_of(cls)]


def _has_no_strength(cls: type[Method]) -> bool:
    """Whether a method never has a strength, whatever its other parameters are."""
    return cls.strength_name is None and cls.active_strength_name is Method.active_strength_name


def _summary(cls: type) -> str:
    return (cls.__doc__ or "").strip().partition("\n")[0].replace("``", "")


def _allow_single(described: Schema, item: Schema, single: Schema | None = None, **further: Any) -> None:
    """Lets one value stand for a list of one; changes ``described``."""
    listed = {"type": "array", "items": item, "minItems": 1, **further}
    words = _words(described)
    described.clear()
    described |= {"anyOf": [single or item, listed]} | words


def _words(described: Schema) -> Schema:
    return {key: described[key] for key in ("description", "default") if key in described}


def _without_titles(value: Any) -> Any:
    """A schema without the titles that pydantic makes of names."""
    if isinstance(value, dict):
        return {
            key: _without_titles(part) for key, part in value.items() if key != "title" or not isinstance(part, str)
        }
    return [_without_titles(part) for part in value] if isinstance(value, list) else value
