"""Triggers: what turns a clean input into a triggered one. One file each, and one line here."""

from __future__ import annotations

from anchorlab.registry import ClassRegistry
from anchorlab.triggers.base import Trigger
from anchorlab.triggers.blended import Blended
from anchorlab.triggers.five_pixel import FivePixel
from anchorlab.triggers.image import ImageTrigger
from anchorlab.triggers.patch import Patch
from anchorlab.triggers.picture import Picture
from anchorlab.triggers.sentence import Sentence
from anchorlab.triggers.sinusoid import Sinusoid
from anchorlab.triggers.square import Square
from anchorlab.triggers.text import TextTrigger
from anchorlab.triggers.word import Word

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
    "TextTrigger",
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
