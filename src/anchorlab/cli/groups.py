"""Options that belong together: declared once, and taken by a command as one parameter.

A command's function may have parameters of two special kinds, which ``expand`` replaces by options of their own::

    def train(*, own: DataOptions, tuning: Annotated[Tuning, OptionsOf("the tuning")]) -> None: ...

``DataOptions`` is an ``OptionGroup``: each of its fields is an option, declared as in a signature. ``Tuning`` is a
class of hyper-parameters (``anchorlab.settings``): each of its fields becomes an option with the field's own sentence.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import wraps
from inspect import Parameter, Signature
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import typer

from anchorlab.settings import build

R = TypeVar("R")


class OptionGroup:
    """Base of groups: frozen dataclasses whose fields are options, ``Annotated[type, typer.Option(...)] = default``.

    Attributes:
        heading: what stands above the options in a long help; None for the command's own options.
    """

    heading: ClassVar[str | None] = None

    def given(self) -> dict[str, Any]:
        """Flag without its dashes to value, of those options that were given."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name.replace("_", "-"): value for name, value in values.items() if value is not None}

    def words(self) -> list[object]:
        """The same as words of a command line, for the next command."""
        return [word for flag, value in self.given().items() for word in (f"--{flag}", value)]


@dataclass(frozen=True)
class OptionsOf:
    """Marks a parameter whose options come from the fields of its class of hyper-parameters.

    Attributes:
        owner: what the values belong to, for messages.
        heading: what stands above the options in a long help.
    """

    owner: str
    heading: str = "Optimisation"


class _Expanded(NamedTuple):
    options: Sequence[Parameter]
    collect: Callable[[dict[str, Any]], Any]


def expand(command: Callable[..., R]) -> Callable[..., R]:
    """The command with the options of its groups in the groups' places, as typer reads and calls it."""
    signature = inspect.signature(command, eval_str=True)
    groups = {name: _expanded(parameter.annotation) for name, parameter in signature.parameters.items()}
    parameters: list[Parameter] = []
    for name, parameter in signature.parameters.items():
        group = groups[name]
        parameters += [parameter] if group is None else group.options

    @wraps(command)
    def expanded(**values: Any) -> R:
        for name, group in groups.items():
            if group is not None:
                values[name] = group.collect({option.name: values.pop(option.name) for option in group.options})
        return command(**values)

    expanded.__signature__ = Signature(parameters, return_annotation=signature.return_annotation)  # type: ignore[attr-defined]
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return expanded


def _expanded(annotation: Any) -> _Expanded | None:
    if isinstance(annotation, type) and issubclass(annotation, OptionGroup):
        return _Expanded(_declared(annotation), lambda values: annotation(**values))
    if get_origin(annotation) is Annotated:
        cls, *marks = get_args(annotation)
        found = [mark for mark in marks if isinstance(mark, OptionsOf)]
        if found:
            owner, options = found[0].owner, _generated(cls, found[0].heading)
            return _Expanded(options, lambda values: build(cls, owner, _without_none(values)))
    return None


def _declared(group: type[OptionGroup]) -> list[Parameter]:
    annotations = get_type_hints(group, include_extras=True)
    parameters = []
    for field in fields(group):  # type: ignore[arg-type]
        default = Parameter.empty if field.default is MISSING else field.default
        parameters.append(
            Parameter(
                field.name,
                Parameter.KEYWORD_ONLY,
                default=default,
                annotation=_below(group.heading, annotations[field.name]),
            )
        )
    return parameters


def _below(heading: str | None, annotation: Any) -> Any:
    """The annotation of an option with the heading that it stands below."""
    kind, info = get_args(annotation)
    info = copy.copy(info)
    if hasattr(info, "rich_help_panel"):
        info.rich_help_panel = info.rich_help_panel or heading
    return Annotated[kind, info]


def _generated(cls: Any, heading: str) -> list[Parameter]:
    """An option a field, None where it is left out, so that the class itself fills in its default and checks."""
    return [
        Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            default=None,
            annotation=_below(heading, _option(field.annotation, field.description)),
        )
        for name, field in cls.__pydantic_fields__.items()
    ]


def _option(kind: Any, sentence: str | None) -> Any:
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    if choices:  # as text, so that the class refuses other words with its own sentence
        return Annotated[str | None, typer.Option(metavar="|".join(choices), help=sentence)]
    return Annotated[kind | None, typer.Option(help=sentence)]


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
