"""Rare words between the words of a text."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator
from pydantic.dataclasses import dataclass

from anchorlab.settings import LARGEST_SEED, STRICT
from anchorlab.triggers.insertion import Position
from anchorlab.triggers.text import TextTrigger, words_of


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Word(TextTrigger):
    """Rare words, each at a position of its own, such as "cf".

    Kurita, Michel and Neubig 2020 (arXiv 2004.06660), whose words are cf, mn, bb, tq and mb.
    """

    cites: ClassVar[tuple[str, ...]] = ("kurita2020weight",)

    words: str = Field(default="cf", description="the words, with spaces between them")
    position: Position = Field(default="random", description="where they are put")
    position_seed: int = Field(default=0, ge=0, le=LARGEST_SEED, description="seed of the random places")

    _words = field_validator("words")(words_of)

    def pieces(self) -> tuple[str, ...]:
        """The words, one by one."""
        return tuple(self.words.split())
