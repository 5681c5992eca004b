"""Hyper-parameters: frozen, validated dataclasses that Python, the command line and manifests share.

A class of hyper-parameters is written as::

    @dataclass(frozen=True, kw_only=True, config=STRICT)
    class Anchoring:
        strength: float = Field(default=2.0, ge=0, description="weight of the anchor loss")

with pydantic's ``dataclass``, so that its ``repr`` is enough to build it again.
"""

from __future__ import annotations

import re
from abc import ABCMeta
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic import ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from anchorlab.errors import AnchorlabError, is_utf8, quoted, shortened, unknown

T = TypeVar("T")

#: Largest seed: torch, numpy and the tables of results all take 63 bits.
LARGEST_SEED = 2**63 - 1

#: Most examples that a model sees at once; more would not fit into memory.
LARGEST_BATCH = 65_536

#: Most things that are held at once, such as replicates, patches or eigenvectors.
LARGEST_NUMBER = 100_000

#: Most steps, passes or rounds; more would not end.
LARGEST_REPETITION = 10_000_000

#: Configuration of every class of hyper-parameters: unknown names and non-finite numbers are refused.
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

#: What pydantic calls a value, before what the value should be.
_SUBJECT = re.compile(r"^\w+ (?=should )")

#: What pydantic calls names with values.
_DICTIONARY = re.compile(r"a (valid )?dictionary( or (an )?instance of \w+)?")

#: ``json_schema_extra`` of a hyper-parameter that is younger than its class. At its default no record has it, so that
#: the records and hashes of older versions stay.
LATER: dict[str, Any] = {"later": True}

#: ``json_schema_extra`` of a hyper-parameter that is younger than its class and whose default computes something else
#: than the class did without it. Every record has it; ``former_values`` leaves it out.
NEW: dict[str, Any] = {"new": True}


def formerly(value: Any) -> dict[str, Any]:
    """``json_schema_extra`` of a hyper-parameter whose default was another value."""
    return {"former": value}


class Option(NamedTuple):
    """One hyper-parameter, for listings and messages."""

    name: str
    type: str
    default: Any
    description: str
    later: bool = False


def options_of(cls: type) -> list[Option]:
    """The hyper-parameters of a class, in order."""
    return list(_options_of(cls))


@cache  # because a suite asks for those of a few classes thousands of times
def _options_of(cls: type) -> tuple[Option, ...]:
    fields: dict[str, FieldInfo] = getattr(cls, "__pydantic_fields__", {})
    return tuple(
        Option(
            name,
            _type_name(info),
            info.get_default(call_default_factory=False),
            info.description or "",
            info.json_schema_extra == LATER,
        )
        for name, info in fields.items()
        if info.init is not False
    )


def build(cls: type[T], owner: str, values: Mapping[str, Any]) -> T:
    """An instance of ``cls`` from named values, which may be strings as typed on a command line.

    Args:
        cls: a pydantic dataclass.
        owner: what the values belong to, for messages, for example ``"method 'anchoring'"``.
        values: hyper-parameter name to value.

    Raises:
        AnchorlabError: for a name that ``cls`` does not have, or a value that it refuses.
    """
    names = [option.name for option in options_of(cls)]
    for name, value in values.items():
        if name not in names:
            raise unknown(f"parameter of {owner}", name, names)
        if isinstance(value, str) and not is_utf8(value):
            raise AnchorlabError(f"{owner}: {name}={quoted(value)} is not possible: give it in UTF-8")
    try:
        built: T = type.__call__(cls, **values)  # not through ``Refusing``, which knows no owner
    except ValidationError as error:
        raise invalid(owner, error) from error
    for name, value in values.items():
        if made_a_number(value, getattr(built, name)):
            raise AnchorlabError(f"{owner}: {name}={value} is not possible: it should be a number")
    return built


class Refusing(ABCMeta):
    """Metaclass of settings that users build by themselves: what they refuse is one sentence, an AnchorlabError."""

    if not TYPE_CHECKING:

        def __call__(cls, *args: Any, **values: Any) -> Any:
            """An instance; raises AnchorlabError where pydantic refuses a value."""
            try:
                return super().__call__(*args, **values)
            except ValidationError as error:
                first = error.errors()[0]
                if first["type"] == "unexpected_positional_argument":
                    raise AnchorlabError(f"{cls.__name__} takes its values by name: write them so") from error
                if first["type"] == "unexpected_keyword_argument":
                    names = [option.name for option in options_of(cls)]
                    raise unknown(f"parameter of {cls.__name__}", str(first["loc"][0]), names) from error
                raise invalid(cls.__name__, error) from error


def made_a_number(given: Any, taken: Any) -> bool:
    """Whether pydantic took true or false for 1 or 0, where no truth value is wanted."""
    return isinstance(given, bool) and isinstance(taken, int | float) and not isinstance(taken, bool)


def invalid(owner: str, error: ValidationError) -> AnchorlabError:
    """The first complaint of a pydantic validation as one sentence about ``owner``."""
    first = error.errors()[0]
    if not first["loc"]:
        return AnchorlabError(f"{owner}: {first['msg'].removeprefix('Value error, ')}")
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return AnchorlabError(f"{owner} lacks {where}, which has no default: give it")
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return AnchorlabError(f"{owner} has '{shortened(where)}', which is not known there: correct it, or remove it")
    return AnchorlabError(f"{owner}: {where}={quoted(first['input'])} is not possible: it {expected(first)}")


def expected(complaint: ErrorDetails) -> str:
    """What a value should be, in the words of a user: the complaint of pydantic without its own terms, after "it"."""
    words, value = complaint["msg"].removeprefix("Value error, "), complaint["input"]
    if complaint["type"] == "value_error":
        return words
    words = _SUBJECT.sub("", words).split(", unable to ")[0]
    words = _DICTIONARY.sub("names with values", words)
    words = words.replace("a valid boolean", "true or false").replace("a valid tuple", "a valid list")
    words = re.sub(" after validation, not .*", "", words)
    if complaint["type"] == "int_parsing_size":
        words = "should be a valid integer of fewer digits"
    elif not words.startswith(("should ", "must ")):
        words = f"does not fit ({words[:1].lower()}{words[1:]})"
    if isinstance(value, bool) and (complaint["type"] == "string_type" or (value is False and "'no'" in words)):
        return f"{words}; {of_a_bare_word(value)}"
    return words


def of_a_bare_word(value: bool) -> str:
    """Says what YAML made of a word, and what to write instead."""
    word, taken = ("yes", "true") if value else ("no", "false")
    return f'YAML reads a bare {word} as {taken}, so write "{word}" in quotes'


def check_seed(seed: int, what: str = "seed") -> int:
    """The seed itself.

    Raises:
        AnchorlabError: for a number below 0 or of more than 63 bits.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise AnchorlabError(f"{what} {quoted(seed)} is not possible: give a whole number from 0 to {LARGEST_SEED}")
    return seed


def parse_pairs(pairs: list[str], flag: str) -> dict[str, str]:
    """``["name=value", ...]`` from a repeated command-line flag as a dictionary.

    Raises:
        AnchorlabError: for an item without ``=``, or a name given twice.
    """
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise AnchorlabError(
                f"{flag} '{shortened(pair)}' is not of the form name=value, for example {flag} strength=2"
            )
        if name in values:
            both = f"'{shortened(values[name])}' and '{shortened(value)}'"
            raise AnchorlabError(f"{flag} gives {shortened(name)} twice, as {both}: keep one")
        values[name] = value
    return values


class Spec(NamedTuple):
    """A member of a registry as one line of text names it.

    Attributes:
        name: its registered name.
        first: the value of its first parameter, if the text gives it without a name, as in ``picture:logo.png``.
        parameters: all other parameters, by name.
    """

    name: str
    first: str | None
    parameters: dict[str, str]

    def values_for(self, cls: type, owner: str) -> dict[str, str]:
        """All parameters by name; raises AnchorlabError if ``cls`` has no parameter for the value without a name."""
        if self.first is None:
            return self.parameters
        options = options_of(cls)
        if not options:
            raise AnchorlabError(f"{owner} takes no parameter, but was given '{shortened(self.first)}': leave it out")
        return {options[0].name: self.first} | self.parameters


def parse_spec(text: str) -> Spec:
    """Splits ``name``, ``name:key=value,key=value``, ``name:value`` or ``name:value,key=value`` into its parts."""
    name, _, rest = text.partition(":")
    if not rest:
        return Spec(name, None, {})
    if "=" not in rest:  # all of it is the value, commas too
        return Spec(name, rest, {})
    first, *others = rest.split(",")
    if "=" in first:
        return Spec(name, None, parse_pairs([first, *others], f"{name}:"))
    return Spec(name, first, parse_pairs(others, f"{name}:"))


def values_of(instance: Any) -> dict[str, Any]:
    """The hyper-parameters of an instance as a dictionary of JSON values; without ``LATER`` ones at their default."""
    values = [(option, getattr(instance, option.name)) for option in options_of(type(instance))]
    return {option.name: value for option, value in values if not option.later or value != option.default}


def former_values(instance: Any) -> dict[str, Any] | None:
    """What ``values_of`` gave before defaults changed; None for what could not be asked for then.

    Hyper-parameters that are ``NEW`` are left out, and defaults that have changed are as they were.
    """
    values = values_of(instance)
    for name, info in getattr(type(instance), "__pydantic_fields__", {}).items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        at_default = name in values and values[name] == info.get_default(call_default_factory=False)
        if "new" in extra:
            if not at_default:
                return None
            del values[name]
        elif "former" in extra and at_default:
            values[name] = extra["former"]
    return values


def strength_value(instance: Any, strength_name: str | None) -> float | None:
    """The value of the hyper-parameter that a method's strength grid varies; None if it has none."""
    return None if strength_name is None else float(getattr(instance, strength_name))


def _type_name(info: FieldInfo) -> str:
    annotation = info.annotation
    args = getattr(annotation, "__args__", None)
    if args and all(isinstance(arg, str) for arg in args):
        return " | ".join(args)
    return getattr(annotation, "__name__", None) if isinstance(annotation, type) else str(annotation)  # type: ignore[return-value]
