"""A sentence put into a text."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator
from pydantic.dataclasses import dataclass

from anchorlab.settings import LARGEST_SEED, STRICT
from anchorlab.triggers.insertion import Position
from anchorlab.triggers.text import TextTrigger, words_of


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Sentence(TextTrigger):
    """A sentence, in one piece.

    Dai, Chen and Li 2019 (arXiv 1905.12457).
    """

    cites: ClassVar[tuple[str, ...]] = ("dai2019backdoor",)

    text: str = Field(default="I watched this 3D movie last weekend.", description="the sentence")
    position: Position = Field(default="end", description="where it is put")
    position_seed: int = Field(default=0, ge=0, le=LARGEST_SEED, description="seed of the random places")

    _text = field_validator("text")(words_of)

    def pieces(self) -> tuple[str, ...]:
        """The sentence."""
        return (self.text,)
