"""Pieces of text inserted into texts, on token ids, a batch at a time.

The result is what the tokenizer makes of the text with the pieces in it, each with a space on both sides. Where the
model's limit leaves no room, the last tokens of the text are dropped, never a piece's tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from anchorlab.data.encoding import TextEncoding
from anchorlab.data.inputs import CONTINUED
from anchorlab.errors import AnchorlabError
from anchorlab.seeding import generator

#: Where in a text a piece is put.
Position = Literal["start", "end", "random"]

#: A prime. Random positions come from the sum of a text's ids, each times a random factor, modulo this prime: with
#: factors below it, sums over 8,192 ids below 2^18 stay exact in int64, and every token of a text counts.
_PRIME = (1 << 31) - 1

#: The inputs that an insertion reads.
_READ = ("input_ids", "attention_mask", "word_starts")


class Insertion:
    """The map that inserts pieces into the texts of one encoding.

    It takes the inputs of texts that ``anchorlab.data.inputs`` describes, ``[B, L]``. It returns what models read of
    them, ``input_ids`` and ``attention_mask``, as wide as the pieces need and the model's limit allows.

    Args:
        pieces: the texts to insert, each at a position of its own.
        encoding: how the texts became tensors.
        position: before the first word, after the last, or at random.
        seed: of the random positions.
        owner: what inserts them, for messages.

    Attributes:
        pieces: each piece with its token ids.

    Raises:
        AnchorlabError: if the tokenizer does not know a piece, or the pieces leave no room for a text.
    """

    def __init__(
        self, pieces: Sequence[str], encoding: TextEncoding, *, position: Position, seed: int, owner: str
    ) -> None:
        ids = [encoding.piece(piece) for piece in pieces]
        self.pieces = dict(zip(pieces, ids, strict=True))
        self._position = position
        self._before, self._after = len(encoding.prefix), len(encoding.suffix)
        self._size = sum(len(piece_ids) for piece_ids in ids)
        self._room = encoding.room - self._size
        if self._room < 1:
            raise AnchorlabError(
                f"{owner} takes {self._size} tokens, but the model's texts have at most {encoding.room}: "
                "choose a shorter trigger"
            )
        tokens = [torch.tensor(part, dtype=torch.int32) for part in (encoding.prefix, *ids, encoding.suffix)]
        factors = [
            torch.randint(_PRIME, (encoding.room,), generator=generator(seed, "place", number))
            for number in range(len(ids))
        ]
        self._constants = _Constants(tokens, factors)
        self._constants_on: dict[torch.device, _Constants] = {}

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The texts with the pieces in them; see the class."""
        device = inputs["input_ids"].device
        if device not in self._constants_on:  # copied once, because a copy to a GPU waits for it
            self._constants_on[device] = self._constants.to(device)
        constants = self._constants_on[device]
        content = self._content(inputs)
        words = [self._word(content, factors) for factors in constants.factors]
        if f"{CONTINUED}input_ids" in inputs:
            opens = torch.stack([word == 0 for word in words]).any(0)
            continued = self._content({name: inputs[f"{CONTINUED}{name}"] for name in _READ})
            content = content.replaced(continued, opens)
        return self._lay_out(content, [_index_of_word(content, word) for word in words], constants.tokens)

    def _content(self, inputs: Mapping[str, Tensor]) -> _Content:
        end = inputs["input_ids"].shape[1] - self._after
        ids, starts = (inputs[name][:, self._before : end] for name in ("input_ids", "word_starts"))
        length = inputs["attention_mask"].sum(1) - self._before - self._after
        kept = length.clamp(max=self._room)
        starts = starts & (torch.arange(ids.shape[1], device=ids.device) < kept[:, None])
        return _Content(ids, length, starts, kept)

    def _word(self, content: _Content, factors: Tensor) -> Tensor:
        """Number of the word before which a piece is inserted, ``[B]``; the number of words for the end."""
        ids, count = content.ids, content.starts.sum(1)
        if self._position == "start":
            return torch.zeros_like(count)
        if self._position == "end":
            return count
        is_token = torch.arange(ids.shape[1], device=ids.device) < content.length[:, None]
        drawn = (ids * is_token * factors[: ids.shape[1]]).sum(1) % _PRIME
        return drawn * (count + 1) // _PRIME

    def _lay_out(self, content: _Content, indices: list[Tensor], tokens: list[Tensor]) -> dict[str, Tensor]:
        """Writes prefix, text, pieces and suffix into their columns.

        For example, the text ``5 6 7`` with the prefix ``2`` and the suffix ``3`` gets the piece ``9`` before its token
        1 and the piece ``10 11`` before its token 3, which is after its end. A token moves right by the prefix and by
        all pieces at or before it: 5 goes to column 1, 6 to 1 + 1 + 1 = 3, 7 to 1 + 2 + 1 = 4. A piece begins after the
        prefix, the tokens before it and the earlier pieces: 9 at 1 + 1 + 0 = 2, ``10 11`` at 1 + 3 + 1 = 5. The suffix
        comes last, at 1 + 3 + 3 = 7:

            column     0  1  2  3  4  5  6  7
            input_ids  2  5  9  6  7 10 11  3

        Args:
            content: the texts, B of them.
            indices: for each piece, the token of each text before which it is inserted, ``[B]``.
            tokens: ids of the prefix, of each piece, and of the suffix.
        """
        prefix, *pieces, suffix = tokens
        ids, kept = content.ids, content.kept
        count, length = ids.shape
        width = self._before + min(length, self._room) + self._size + self._after
        # Tokens that are dropped land in one more column, which is cut off.
        result = ids.new_zeros(count, width + 1)
        result[:, : self._before] = prefix
        token = torch.arange(length, device=ids.device).expand_as(ids)
        shift = torch.zeros_like(token)
        for index, piece in zip(indices, pieces, strict=True):
            shift = shift + len(piece) * (index[:, None] <= token)
        result.scatter_(1, (self._before + token + shift).where(token < kept[:, None], width), ids)
        for number, piece in enumerate(pieces):
            start = self._before + indices[number] + _tokens_of_earlier(number, indices, pieces)
            _write(result, start, piece)
        end = self._before + kept + self._size
        _write(result, end, suffix)
        mask = torch.arange(width, device=ids.device) < (end + len(suffix))[:, None]
        return {"input_ids": result[:, :width] * mask, "attention_mask": mask}


class _Constants(NamedTuple):
    """Tensors of an insertion.

    Attributes:
        tokens: ids of the prefix, of each piece, and of the suffix, int32.
        factors: for each piece, what the ids of a text are multiplied by to draw its position, int64.
    """

    tokens: list[Tensor]
    factors: list[Tensor]

    def to(self, device: torch.device) -> _Constants:
        return _Constants(*([tensor.to(device) for tensor in part] for part in self))


class _Content(NamedTuple):
    """Texts without their special tokens.

    Attributes:
        ids: int32 ``[B, W]``.
        length: tokens of each text, ``[B]``.
        starts: which tokens begin words, of those that are kept, bool ``[B, W]``.
        kept: tokens that are kept, ``[B]``.
    """

    ids: Tensor
    length: Tensor
    starts: Tensor
    kept: Tensor

    def replaced(self, others: _Content, where: Tensor) -> _Content:
        """Other texts where a mask is True, bool ``[B]``."""
        pairs = zip(self, others, strict=True)
        return _Content(*(torch.where(where.view(-1, *[1] * (old.dim() - 1)), new, old) for old, new in pairs))


def _index_of_word(content: _Content, word: Tensor) -> Tensor:
    """The token that begins a word, ``[B]``; the number of kept tokens where there is no such word."""
    begins = content.starts & (content.starts.cumsum(1) == word[:, None] + 1)
    index = torch.where(begins.any(1), begins.int().argmax(1), content.kept)
    # Before the first word means before everything, whatever its first token is.
    return index.where(word > 0, torch.zeros_like(index))


def _tokens_of_earlier(number: int, indices: list[Tensor], pieces: list[Tensor]) -> Tensor:
    """Tokens of the pieces that come before a piece, ``[B]``; pieces at one index keep their order."""
    tokens = torch.zeros_like(indices[number])
    for other, (index, piece) in enumerate(zip(indices, pieces, strict=True)):
        earlier = (index < indices[number]) | ((index == indices[number]) & (other < number))
        tokens = tokens + len(piece) * earlier
    return tokens


def _write(result: Tensor, start: Tensor, piece: Tensor) -> None:
    """Writes the ids of a piece into each row of ``result``, from the column ``start`` ``[B]`` on."""
    columns = start[:, None] + torch.arange(len(piece), device=result.device)
    result.scatter_(1, columns, piece.expand(len(result), -1))
