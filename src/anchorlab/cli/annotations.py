"""How a parameter of a command is read, named in its help, and completed, where its declaration does not say."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from anchorlab.cli.completion import completer
from anchorlab.files import user_path

#: Type of an option to the word that stands for its value.
_WORDS: dict[Any, str] = {int: "N", float: "NUMBER", Path: "PATH"}


def _path(given: str) -> Path:
    return user_path(given)


def polished(name: str, annotation: Any) -> Any:
    """The annotation of a parameter: paths are read by ``user_path``, and a word stands for its value.

    A value to fill in is in capitals; words to choose from have strokes between them.

    Args:
        name: of the parameter.
        annotation: as the command declares it.
    """
    if get_origin(annotation) is not Annotated:
        return annotation
    kind, info = get_args(annotation)
    info = copy.copy(info)
    info.metavar = info.metavar or _metavar(name, kind, info)
    if Path in (kind, *get_args(kind)):
        info.parser = _path
    elif info.autocompletion is None:
        info.autocompletion = completer(name, info.metavar)
    return Annotated[kind, info]


def _metavar(name: str, kind: Any, info: Any) -> str | None:
    """The word for a value; None for a switch, which has none."""
    kinds = [part for outer in (kind, *get_args(kind)) for part in (outer, *get_args(outer)) if part is not type(None)]
    choices = [get_args(part) for part in kinds if get_origin(part) is Literal]
    if choices:
        return "|".join(map(str, choices[0]))
    if bool in kinds:
        return None
    for part, word in _WORDS.items():
        if part in kinds:
            return word
    flags = getattr(info, "param_decls", None) or [name]
    longest: str = max(flags, key=len)
    return longest.strip("-_").replace("_", "-").rpartition("-")[2].upper()
