"""Triggers: what turns a clean input into a triggered one, by name."""

from __future__ import annotations

from anchorlab.registry import ClassRegistry
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
]

TRIGGERS: ClassRegistry[Trigger] = ClassRegistry(
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
