"""The base of triggers for texts: words put between the words of a text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import lru_cache

from torch import Tensor

from anchorlab.data.encoding import TextEncoding
from anchorlab.data.inputs import kind_of
from anchorlab.errors import AnchorlabError
from anchorlab.triggers.base import InputMap, Trigger
from anchorlab.triggers.insertion import Insertion, Position


class TextTrigger(Trigger):
    """A trigger that inserts pieces of text into a text.

    A subclass is a frozen pydantic dataclass with the fields ``position`` and ``position_seed``, and defines
    ``pieces``. A random position is drawn from the text itself and ``position_seed``: the same text has the same one
    in every batch and on every device.
    """

    position: Position
    position_seed: int

    @abstractmethod
    def pieces(self) -> tuple[str, ...]:
        """What is inserted, each piece at a position of its own."""

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Raises AnchorlabError: the token ids that a trigger inserts depend on the tokenizer, see ``bind``."""
        raise AnchorlabError(f"{self} needs the model's tokenizer: apply what bind(encoding) returns")

    def check(self, inputs: Mapping[str, Tensor], encoding: TextEncoding | None) -> None:
        """Checks that there are texts, and that the pieces fit between their words."""
        if kind_of(inputs) != "text":
            raise AnchorlabError(
                f"{self} is put into texts, but the inputs are {', '.join(inputs) or 'empty'}: choose a trigger made "
                "for this kind of input"
            )
        self.bind(encoding)

    def bind(self, encoding: TextEncoding | None) -> InputMap:
        """The map on the token ids of an encoding.

        Raises:
            AnchorlabError: if there is none, it does not know the words, or they leave no room for a text.
        """
        if encoding is None:
            raise AnchorlabError(f"{self} needs the model's tokenizer: give a model that has one")
        return _insertion(self, encoding)


def words_of(text: str) -> str:
    """A text with one space between its words, for a validator of pydantic; raises ValueError if it has none."""
    if not text.split():
        raise ValueError("must have at least one word")
    return " ".join(text.split())


@lru_cache(maxsize=16)
def _insertion(trigger: TextTrigger, encoding: TextEncoding) -> Insertion:
    return Insertion(
        trigger.pieces(), encoding, position=trigger.position, seed=trigger.position_seed, owner=str(trigger)
    )
