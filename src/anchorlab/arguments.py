"""The arguments of Python's public verbs: a wrong type is refused where it enters, in one sentence."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, get_args, get_origin

from anchorlab.errors import AnchorlabError, quoted, unknown
from anchorlab.settings import check_seed

P = ParamSpec("P")
R = TypeVar("R")

#: Types whose values a message shows; of all others it names the type, because their text is long.
_SHOWN = (str, bytes, int, float, Path, list, tuple, dict, set, type(None))

_WORDS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    Path: "a path",
    type(None): "None",
}


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """A decorator of a public verb: each argument must be what its annotation says.

    Numbers of numpy count as Python's, and arrive as these. A parameter called ``seed`` must be a possible seed.

    Raises (in the call):
        AnchorlabError: for an argument of another type; it names the verb, the parameter, the value and the types.
    """
    signature = inspect.signature(function)

    @functools.cache
    def annotations() -> dict[str, Any]:
        return typing.get_type_hints(function)

    @functools.wraps(function)
    def verb(*args: P.args, **options: P.kwargs) -> R:
        try:
            bound = signature.bind(*args, **options)
        except TypeError:
            return function(*args, **options)  # Python's own words for what is missing or unknown
        for name, value in bound.arguments.items():
            bound.arguments[name] = _taken(function.__name__, name, value, annotations().get(name, Any))
        return function(*bound.args, **bound.kwargs)

    verb.checks_arguments = True  # type: ignore[attr-defined]
    return verb


def _taken(verb: str, name: str, value: Any, annotation: Any) -> Any:
    """The value as the verb takes it; raises AnchorlabError if it takes no such value."""
    if not _fits(value, annotation):
        literals = [choice for kind in _alternatives(annotation) for choice in get_args(kind) if _is_literal(kind)]
        if literals and isinstance(value, str):
            raise unknown(f"{name} of {verb}", value, literals)
        shown = quoted(value) if isinstance(value, _SHOWN) else f"of type {type(value).__qualname__}"
        words = " or ".join(dict.fromkeys(_words(kind) for kind in _alternatives(annotation)))
        folder = isinstance(value, (str, Path)) and any(
            getattr(kind, "__name__", "") == "Artifact" for kind in _alternatives(annotation)
        )
        remedy = f"give load_model({shown})" if folder else "give one"
        raise AnchorlabError(f"{verb}: {name} is {shown}, but must be {words}: {remedy}")
    if isinstance(value, Integral) and not isinstance(value, bool):
        value = int(value)
    elif isinstance(value, Real) and not isinstance(value, (bool, float)):
        value = float(value)
    if name == "seed" and isinstance(value, int):
        check_seed(value, f"{verb}: seed")
    return value


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a value is what an annotation says, and its members too."""
    return any(_is_one(value, kind) for kind in _alternatives(annotation))


def _is_one(value: Any, kind: Any) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any or isinstance(kind, TypeVar):
        return True
    if _is_literal(kind):
        return isinstance(value, (str, int)) and value in inner
    if kind in (int, float):
        return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
    if origin is None:
        return _is_instance(value, kind)
    if origin is tuple:
        whole = isinstance(value, (tuple, list)) and len(value) == len(inner)
        return whole and all(map(_fits, value, inner))
    if isinstance(value, (str, bytes)) or not _is_instance(value, origin):
        return False
    if issubclass(origin, Mapping):
        return all(_fits(key, inner[0]) and _fits(member, inner[1]) for key, member in value.items())
    if issubclass(origin, Sequence):
        return all(_fits(member, inner[0]) for member in value)
    return True


def _is_instance(value: Any, cls: Any) -> bool:
    try:
        return isinstance(value, cls)
    except TypeError:  # a protocol, whose members cannot be looked for
        return True


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The members of a union, or the annotation itself."""
    if get_origin(annotation) in (typing.Union, types.UnionType):
        yield from get_args(annotation)
    else:
        yield annotation


def _words(kind: Any) -> str:
    """What an annotation means, in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if _is_literal(kind):
        return " or ".join(repr(choice) for choice in inner)
    if origin is None:
        return _WORDS.get(kind) or f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"
    if origin is tuple:
        return f"{len(inner)} values"
    if origin is Callable or not isinstance(origin, type) or not issubclass(origin, (Mapping, Sequence)):
        return "a function"
    members = " or ".join(dict.fromkeys(_words(member) for member in _alternatives(inner[-1])))
    return f"a dictionary of {members}" if issubclass(origin, Mapping) else f"a list of {members}"
