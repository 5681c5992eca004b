"""The rules that all classes keep: settings are frozen, have defaults and descriptions, and can be recorded."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from types import UnionType
from typing import Any

from anchorlab.registry import ClassRegistry
from anchorlab.settings import build, options_of, values_of
from anchorlab.testing.contract import BrokenError, Contract, Finding, Rule, require


def _is_frozen(member: Any) -> None:
    cls = type(member)
    require(
        hasattr(cls, "__pydantic_fields__") and dataclasses.is_dataclass(cls),
        "its class is no pydantic dataclass: write @dataclass(frozen=True, kw_only=True), from pydantic.dataclasses",
    )
    require(
        cls.__dataclass_params__.frozen,
        "its settings can be changed afterwards: write @dataclass(frozen=True, kw_only=True)",
    )


def _is_described(member: Any) -> None:
    for option in options_of(type(member)):
        require(option.description, f"the setting '{option.name}' says nothing: give Field(description=...)")


def _is_recorded(member: Any) -> None:
    try:
        values = json.loads(json.dumps(values_of(member), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BrokenError(
            f"its settings are no JSON values ({error}): use numbers, texts, booleans and lists"
        ) from error
    again = build(type(member), "the settings", values)
    require(again == member, "a record of its settings builds another one: let __post_init__ change no setting")
    require(hash(again) == hash(member), "equal ones have unequal hashes: leave __hash__ to the frozen dataclass")


#: Rules of any instance of a class of settings.
SETTINGS: tuple[Rule[Any], ...] = (
    Rule("is a frozen pydantic dataclass", _is_frozen, needed=True),
    Rule("says what each setting is", _is_described),
    Rule("can be recorded and built again", _is_recorded),
)


def contract_of(
    member: Any,
    name: str,
    *,
    registry: ClassRegistry[Any],
    base: type[Any] | UnionType,
    derive: str,
    findings: Callable[[Any], list[Finding]],
) -> Contract:
    """The contract of a member of a family; nothing more is tried of what belongs to none or has no defaults.

    Args:
        member: an instance, or a class whose settings all have defaults.
        name: what to call it; its registered name if empty.
        registry: of the family.
        base: what every member derives from.
        derive: says so of a member that does not.
        findings: tries the rules on an instance.
    """
    kind = registry.kind
    try:
        instance = _instance_of(member)
        require(isinstance(instance, base), derive)
    except BrokenError as error:
        called = name or getattr(member, "__name__", type(member).__name__)
        return Contract(kind, called, (Finding(f"is a {kind} with defaults", "broken", str(error)),))
    return Contract(kind, name or registry.label(instance), tuple(findings(instance)))


def _instance_of(member: Any) -> Any:
    """The instance itself, or one of the class by its defaults.

    Raises:
        BrokenError: if the class has a setting without a default.
    """
    if not isinstance(member, type):
        return member
    try:
        return member()
    except Exception as error:
        raise BrokenError(
            f"it cannot be built by its defaults ({type(error).__name__}): give each setting a default, or check an "
            "instance"
        ) from error
