"""Triggers for texts: words put between the words of a text.

They work on token ids, a batch at a time; the result is what the tokenizer makes of the text with the words in it,
with a space on both sides. Where the model's limit leaves no room, the text's last tokens give way, never the trigger.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

import torch
from pydantic import Field, field_validator
from pydantic.dataclasses import dataclass
from torch import Tensor

from anchorlab.data.encoding import TextEncoding
from anchorlab.data.inputs import CONTINUED, kind_of
from anchorlab.errors import AnchorlabError
from anchorlab.seeding import generator
from anchorlab.settings import STRICT
from anchorlab.triggers.base import Map, Trigger

Position = Literal["start", "end", "random"]

#: A prime. Places are drawn by the sum of a text's ids, each times a random factor, modulo this: with factors below it,
#: sums over 8,192 ids below 2^18 stay exact in int64, and every token of a text counts.
_PRIME = (1 << 31) - 1


class TextTrigger(Trigger):
    """Puts pieces of text into a text.

    A subclass is a frozen dataclass; it says in ``_pieces`` what is put in. A random place is drawn from the text
    itself and ``position_seed``: the same text has the same one in every batch, on every device.
    """

    position: Position
    position_seed: int

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Raises AnchorlabError: what a trigger does to token ids hangs on the tokenizer, see ``bind``."""
        raise AnchorlabError(f"{self} needs the model's tokenizer: apply what bind(encoding) returns")

    def check(self, inputs: Mapping[str, Tensor], encoding: TextEncoding | None) -> None:
        """Checks that there are texts, and that the words fit between theirs."""
        if kind_of(inputs) != "text":
            raise AnchorlabError(
                f"{self} is put into texts, but the inputs are {', '.join(inputs) or 'empty'}: choose a trigger made "
                "for this kind of input"
            )
        self.bind(encoding)

    def bind(self, encoding: TextEncoding | None) -> Map:
        """The map on the token ids of an encoding.

        Raises:
            AnchorlabError: if there is none, it does not know the words, or they leave no room for a text.
        """
        if encoding is None:
            raise AnchorlabError(f"{self} needs the model's tokenizer: give a model that has one")
        return _insertion(self, encoding)

    @abstractmethod
    def _pieces(self) -> tuple[str, ...]:
        """What is put in, each piece at a place of its own."""


@lru_cache(maxsize=16)
def _insertion(trigger: TextTrigger, encoding: TextEncoding) -> Insertion:
    return Insertion(trigger, encoding)


def _has_words(text: str) -> str:
    if not text.split():
        raise ValueError("must have at least one word")
    return " ".join(text.split())


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Word(TextTrigger):
    """Rare words, each at a place of its own, such as "cf".

    Kurita, Michel and Neubig 2020 (arXiv 2004.06660), whose words are cf, mn, bb, tq and mb.
    """

    words: str = Field(default="cf", description="the words, with spaces between them")
    position: Position = Field(default="random", description="where they are put")
    position_seed: int = Field(default=0, ge=0, description="seed of the random places")

    _words = field_validator("words")(_has_words)

    def _pieces(self) -> tuple[str, ...]:
        return tuple(self.words.split())


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Sentence(TextTrigger):
    """A sentence, in one piece.

    Dai, Chen and Li 2019 (arXiv 1905.12457).
    """

    text: str = Field(default="I watched this 3D movie last weekend.", description="the sentence")
    position: Position = Field(default="end", description="where it is put")
    position_seed: int = Field(default=0, ge=0, description="seed of the random places")

    _text = field_validator("text")(_has_words)

    def _pieces(self) -> tuple[str, ...]:
        return (self.text,)


class Insertion:
    """A text trigger on the token ids of one encoding.

    Takes the inputs of ``anchorlab.data.encoding``, ``[B, L]``; returns what models read of them, ``input_ids`` and
    ``attention_mask``, as wide as the trigger needs and the model's limit allows.

    Attributes:
        tokens: each word or sentence that is put in, to the number of its tokens.

    Raises:
        AnchorlabError: when it is made, see ``TextTrigger.bind``.
    """

    def __init__(self, trigger: TextTrigger, encoding: TextEncoding) -> None:
        self._position = trigger.position
        self._pieces = [encoding.piece(piece) for piece in trigger._pieces()]
        self.tokens = {piece: len(ids) for piece, ids in zip(trigger._pieces(), self._pieces, strict=True)}
        self._prefix, self._suffix = encoding.prefix, encoding.suffix
        self._size = sum(len(piece) for piece in self._pieces)
        self._kept = encoding.room - self._size
        if self._kept < 1:
            raise AnchorlabError(
                f"{trigger} takes {self._size} tokens, but the model's texts have at most {encoding.room}: "
                "choose a shorter trigger"
            )
        factors = [
            torch.randint(_PRIME, (encoding.room,), generator=generator(trigger.position_seed, "place", number))
            for number in range(len(self._pieces))
        ]
        tokens = (self._prefix, *self._pieces, self._suffix)
        self._constants = [*(torch.tensor(ids, dtype=torch.int32) for ids in tokens), *factors]
        self._on: dict[torch.device, list[Tensor]] = {}

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The triggered texts; see the class."""
        device, pieces = inputs["input_ids"].device, len(self._pieces)
        if device not in self._on:  # copied once, for a GPU is waited for when it is given numbers
            self._on[device] = [constant.to(device) for constant in self._constants]
        tokens, factors = self._on[device][: pieces + 2], self._on[device][pieces + 2 :]
        content = self._content(inputs)
        words = [self._word(content, factor) for factor in factors]
        if f"{CONTINUED}input_ids" in inputs:
            opens = torch.stack([word == 0 for word in words]).any(0)
            continued = self._content({name: inputs[f"{CONTINUED}{name}"] for name in _READ})
            content = content.replaced(continued, opens)
        return self._laid_out(content, [_place(content, word) for word in words], *tokens)

    def _content(self, inputs: Mapping[str, Tensor]) -> _Content:
        around = len(self._prefix), inputs["input_ids"].shape[1] - len(self._suffix)
        ids, starts = (inputs[name][:, slice(*around)] for name in ("input_ids", "word_starts"))
        length = inputs["attention_mask"].sum(1) - len(self._prefix) - len(self._suffix)
        kept = length.clamp(max=self._kept)
        starts = starts & (torch.arange(ids.shape[1], device=ids.device) < kept[:, None])
        return _Content(ids, length, starts, kept)

    def _word(self, content: _Content, factors: Tensor) -> Tensor:
        """Number of the word before which a piece is put, ``[B]``; beyond all words for the end."""
        ids, count = content.ids, content.starts.sum(1)
        if self._position == "start":
            return torch.zeros_like(count)
        if self._position == "end":
            return count
        real = torch.arange(ids.shape[1], device=ids.device) < content.length[:, None]
        drawn = (ids * real * factors[: ids.shape[1]]).sum(1) % _PRIME
        return drawn * (count + 1) // _PRIME

    def _laid_out(self, content: _Content, places: list[Tensor], *tokens: Tensor) -> dict[str, Tensor]:
        """Prefix, kept tokens with each piece at its place (``[B]`` each), suffix; these are the ``tokens``."""
        prefix, *pieces, suffix = tokens
        ids, kept = content.ids, content.kept
        count, before = len(ids), len(prefix)
        width = before + min(ids.shape[1], self._kept) + self._size + len(suffix)
        # Tokens that give way land in one more column, which is cut off.
        result = ids.new_zeros(count, width + 1)
        result[:, :before] = prefix
        at = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        ahead = torch.zeros_like(at)
        for place, piece in zip(places, pieces, strict=True):
            ahead = ahead + len(piece) * (place[:, None] <= at)
        result.scatter_(1, (before + at + ahead).where(at < kept[:, None], width), ids)
        for number, (place, piece) in enumerate(zip(places, pieces, strict=True)):
            start = before + place
            for other, (elsewhere, also) in enumerate(zip(places, pieces, strict=True)):
                earlier = (elsewhere < place) | ((elsewhere == place) & (other < number))
                start = start + len(also) * earlier
            columns = start[:, None] + torch.arange(len(piece), device=ids.device)
            result.scatter_(1, columns, piece.expand(count, -1))
        end = before + kept + self._size
        columns = end[:, None] + torch.arange(len(suffix), device=ids.device)
        result.scatter_(1, columns, suffix.expand(count, -1))
        mask = torch.arange(width, device=ids.device) < (end + len(suffix))[:, None]
        return {"input_ids": result[:, :width] * mask, "attention_mask": mask}


_READ = ("input_ids", "attention_mask", "word_starts")


class _Content(NamedTuple):
    """Texts without their special tokens.

    Attributes:
        ids: int32 ``[B, W]``.
        length: tokens of each text, ``[B]``.
        starts: which of those that are kept begin words, bool ``[B, W]``.
        kept: tokens that are kept, ``[B]``.
    """

    ids: Tensor
    length: Tensor
    starts: Tensor
    kept: Tensor

    def replaced(self, others: _Content, where: Tensor) -> _Content:
        """Other texts where a mask says so, bool ``[B]``."""
        pairs = zip(self, others, strict=True)
        return _Content(*(torch.where(where.view(-1, *[1] * (old.dim() - 1)), new, old) for old, new in pairs))


def _place(content: _Content, word: Tensor) -> Tensor:
    """The token before which a word begins, ``[B]``; the number of kept tokens where there is no such word."""
    there = content.starts & (content.starts.cumsum(1) == word[:, None] + 1)
    place = torch.where(there.any(1), there.int().argmax(1), content.kept)
    # Before the first word means before everything, whatever its first token is.
    return place.where(word > 0, torch.zeros_like(place))
