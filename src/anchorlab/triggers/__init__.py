"""Triggers: what turns a clean input into a triggered one, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anchorlab.errors import AnchorlabError
from anchorlab.registry import Registry
from anchorlab.settings import build, build_spec, parse_spec, values_of
from anchorlab.triggers.base import Trigger
from anchorlab.triggers.images import Blended, FivePixel, ImageTrigger, Patch, Picture, Sinusoid, Square
from anchorlab.triggers.texts import Sentence, Word

__all__ = [
    "TRIGGERS",
    "Blended",
    "FivePixel",
    "ImageTrigger",
    "Patch",
    "Picture",
    "Sentence",
    "Sinusoid",
    "Square",
    "Trigger",
    "Word",
    "parse_trigger",
    "trigger_from_dict",
    "trigger_to_dict",
]

TRIGGERS: Registry[type[Trigger]] = Registry(
    "trigger",
    "anchorlab.triggers",
    {
        "five-pixel": FivePixel,
        "square": Square,
        "blended": Blended,
        "sinusoid": Sinusoid,
        "picture": Picture,
        "word": Word,
        "sentence": Sentence,
    },
)


def parse_trigger(text: str) -> Trigger:
    """A trigger from one line of text.

    Args:
        text: ``five-pixel``, ``square:size=4,margin=0``, or with a value for the first parameter alone,
            ``picture:logo.png``, ``word:cf``.

    Raises:
        AnchorlabError: for an unknown trigger or parameter, or a value that is refused.
    """
    name, values = parse_spec(text)
    return build_spec(TRIGGERS[name], f"trigger '{name}'", values)


def trigger_to_dict(trigger: Trigger) -> dict[str, Any]:
    """The trigger's registered name and its parameters, as JSON values for a manifest."""
    return {"name": TRIGGERS.name_of(type(trigger)), **values_of(trigger)}


def trigger_from_dict(record: Mapping[str, Any]) -> Trigger:
    """The trigger that ``trigger_to_dict`` described.

    Raises:
        AnchorlabError: for a record without a name, or one that names what does not exist.
    """
    values = dict(record)
    name = values.pop("name", None)
    if not isinstance(name, str):
        raise AnchorlabError(
            f"a trigger's record needs a name, but has {name!r}: known are {', '.join(TRIGGERS.names())}"
        )
    return build(TRIGGERS[name], f"trigger '{name}'", values)
