"""Texts as tensors: token ids are made once, so that no tokenizer runs inside a step.

The inputs that an encoding makes are described in ``anchorlab.data.inputs``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anchorlab.data.inputs import CONTINUED
from anchorlab.data.ragged import Ragged, saves_memory
from anchorlab.errors import AnchorlabError, shortened

#: Texts that are given to the tokenizer together.
_AT_ONCE = 2048

_WORD_START = re.compile(r"(?<!\S)\S")


@dataclass(frozen=True, eq=False)
class TextEncoding:
    """How a model's texts become tensors: its tokenizer, and the most tokens that it reads.

    Attributes:
        tokenizer: a fast tokenizer of transformers.
        max_length: most tokens of a text, special ones included; longer texts lose their ends.

    Raises:
        AnchorlabError: for a tokenizer that is not fast or has no padding token, or a limit without room for a text.
    """

    tokenizer: Any
    max_length: int

    _beside = "the special tokens: allow more"

    def __post_init__(self) -> None:
        name = type(self.tokenizer).__name__
        if not getattr(self.tokenizer, "is_fast", False):
            raise AnchorlabError(
                f"the tokenizer {name} is not a fast one, which knows where words are: give its tokenizer.json"
            )
        if self.tokenizer.pad_token_id is None:
            raise AnchorlabError(
                f"the tokenizer {name} has no padding token, which batches need: set its pad_token and save it again"
            )
        if self.max_length <= len(self.prefix) + len(self.suffix):
            raise AnchorlabError(f"at most {self.max_length} tokens leave no room for a text beside {self._beside}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextEncoding) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __deepcopy__(self, _memo: dict[int, Any]) -> TextEncoding:
        return self  # it never changes, and tokenizers are slow to copy

    @property
    def lead(self) -> str:
        """What is put before every text: nothing, or the space that stands between a prompt and its first word."""
        return ""

    @property
    def pad(self) -> int:
        """Id of the padding token."""
        return int(self.tokenizer.pad_token_id)

    @property
    def prefix(self) -> tuple[int, ...]:
        """Ids of the special tokens before a text."""
        return self._special[0]

    @property
    def suffix(self) -> tuple[int, ...]:
        """Ids of the special tokens after a text."""
        return self._special[1]

    @property
    def room(self) -> int:
        """Most tokens of a text without the special ones."""
        return self.max_length - len(self.prefix) - len(self.suffix)

    @cached_property
    def _special(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        alone = self.tokenize("a")
        whole = tuple(self.tokenizer("a")["input_ids"])
        for start in range(len(whole) - len(alone) + 1):
            if whole[start : start + len(alone)] == alone:
                return whole[:start], whole[start + len(alone) :]
        raise AnchorlabError(
            f"the tokenizer {type(self.tokenizer).__name__} does not put its special tokens around a text: "
            "give one that does"
        )

    @cached_property
    def ids_depend_on_space(self) -> bool:
        """Whether a word's ids depend on whether a space comes before it."""
        return self.tokenize("text a")[len(self.tokenize("text")) :] != self.tokenize("a")

    @property
    def fingerprint(self) -> str:
        """What decides which ids a text gets: the tokenizer's own fingerprint, and the limit."""
        return f"{self.tokenizer_fingerprint}-{self.max_length}"

    @cached_property
    def tokenizer_fingerprint(self) -> str:
        """SHA-256 of everything that decides which ids a text gets, but for the limit.

        How long texts were cut or padded when the tokenizer was last used is a part of its state, but of no meaning.
        """
        state = json.loads(self.tokenizer.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}
        settings = [state, self.pad, *([self.lead] if self.lead else [])]
        return hashlib.sha256(json.dumps(settings).encode()).hexdigest()

    def tokenize(self, text: str) -> tuple[int, ...]:
        """The ids of a text without special tokens, whatever its length."""
        return tuple(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def piece(self, words: str) -> tuple[int, ...]:
        """The ids of words as they are within a text, with a space before them and one after.

        Raises:
            AnchorlabError: if the tokenizer does not know them, or makes other tokens of words beside them, so that
                they cannot be put between the ids of two words.
        """
        ids = self.tokenize(f" {words}" if self.ids_depend_on_space else words)
        if not ids or self.tokenizer.unk_token_id in ids:
            raise AnchorlabError(
                f"the model's tokenizer has no tokens for the trigger '{words}', so that every unknown word would "
                "trigger the backdoor: choose other words"
            )
        before, after = self.tokenize("some text"), self.tokenize(" text" if self.ids_depend_on_space else "text")
        if self.tokenize(f"some text {words} text") != before + ids + after:
            raise AnchorlabError(
                f"the model's tokenizer ties the words '{words}' to those beside them, so that they cannot be put "
                "between two words: choose other words"
            )
        return ids

    def encode(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """The inputs of texts, as the module describes them; on the CPU."""
        return self.encode_counting(texts)[0]

    def encode_counting(self, texts: Sequence[str]) -> tuple[dict[str, Tensor], Tensor]:
        """The inputs of texts, and the tokens of each text before it was cut, int64 ``[N]``; on the CPU.

        Raises:
            AnchorlabError: for a text that is too long, where the tokenizer is made to cut off the start of such texts.
        """
        encoded = [self._encode([f"{self.lead}{text}" for text in texts] if self.lead else texts)]
        if self.ids_depend_on_space and not self.lead:
            encoded.append(self._encode([f" {text}" for text in texts]))
        width = max((int(one.sizes.max()) for one in encoded if len(texts)), default=0)
        inputs = encoded[0].inputs(width, self.pad)
        for continued in encoded[1:]:
            inputs |= {f"{CONTINUED}{name}": value for name, value in continued.inputs(width, self.pad).items()}
        return inputs, encoded[0].whole_sizes

    def _encode(self, texts: Sequence[str]) -> _Encoded:
        """The texts a few at a time, because a tokenizer needs much more memory than its ids."""
        pieces = [self._encode_some(texts[start : start + _AT_ONCE]) for start in range(0, len(texts), _AT_ONCE)]
        return _Encoded(*(torch.from_numpy(np.concatenate(of)) for of in zip(*(pieces or [_NOTHING]), strict=True)))

    def _encode_some(self, texts: Sequence[str]) -> tuple[Any, ...]:
        """The fields of ``_Encoded``, as arrays."""
        encoded = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=self.max_length,
            return_attention_mask=False,
            return_token_type_ids=False,
            return_offsets_mapping=True,
        )
        before, after = len(self.prefix), len(self.suffix)
        sizes = np.array([len(ids) for ids in encoded["input_ids"]], dtype=np.int64)
        ids = np.concatenate([np.array(ids, dtype=np.int32) for ids in encoded["input_ids"]])
        starts = np.zeros(len(ids), dtype=bool)
        first = np.cumsum(sizes) - sizes
        whole_sizes = sizes.copy()
        for row, text in enumerate(texts):
            spans = np.array(encoded["offset_mapping"][row], dtype=np.int64).reshape(-1, 2)
            content = slice(before, int(sizes[row]) - after)
            starts[first[row] :][content] = _first_of_words(text, spans[content])
            whole_sizes[row] += sum(len(piece) - before - after for piece in encoded.encodings[row].overflowing)
            if whole_sizes[row] > sizes[row]:
                self._check_cut(text, int(whole_sizes[row]))
        return ids, starts, sizes, whole_sizes

    def _check_cut(self, text: str, tokens: int) -> None:
        """Refuses a text that is too long where the model was made for the ends of such texts."""
        if self.tokenizer.truncation_side != "right":
            raise AnchorlabError(
                f"the text {shortened(text, 60)!r} has {tokens:,} tokens, of which {self.max_length:,} are read, and "
                "the model's tokenizer cuts off the start of such texts (truncation_side in its tokenizer_config.json) "
                "where anchorlab cuts off the end: shorten the texts, or write 'right' there if the model was trained "
                "so"
            )

    def save(self, folder: Path) -> None:
        """Writes the tokenizer's files into a model folder, with the most tokens as its limit."""
        before = self.tokenizer.model_max_length
        self.tokenizer.model_max_length = self.max_length
        try:
            self.tokenizer.save_pretrained(folder)
        finally:
            self.tokenizer.model_max_length = before


@dataclass(frozen=True)
class _Encoded:
    """Texts as ids, one after the other.

    Attributes:
        ids: int32 ``[T]``.
        starts: whether an id is the first one of a word, bool ``[T]``.
        sizes: ids of each text, int64 ``[N]``.
        whole_sizes: what ``sizes`` would be without a limit, int64 ``[N]``.
    """

    ids: Tensor
    starts: Tensor
    sizes: Tensor
    whole_sizes: Tensor

    def inputs(self, width: int, pad: int) -> dict[str, Tensor]:
        """The inputs ``[N, width]``, without their padding where they would be little else."""
        mask = torch.ones(len(self.ids), dtype=torch.bool)
        values = {"input_ids": self.ids, "attention_mask": mask, "word_starts": self.starts}
        ragged = {
            name: Ragged(value, self.sizes, width, pad if name == "input_ids" else 0) for name, value in values.items()
        }
        if saves_memory(len(self.sizes), width, len(self.ids)):
            return dict(ragged)
        return {name: value.padded() for name, value in ragged.items()}


#: The fields of ``_Encoded`` for no text at all.
_NOTHING = tuple(np.empty(0, dtype=of) for of in (np.int32, bool, np.int64, np.int64))


def _first_of_words(text: str, spans: Any) -> Any:
    """Whether each token is the first one of a word: spans of characters, integer ``[T, 2]``, to bool ``[T]``."""
    first = np.zeros(len(spans), dtype=bool)
    starts = np.array([match.start() for match in _WORD_START.finditer(text)])
    if len(spans) == 0 or len(starts) == 0:
        return first
    # The first token that holds the space before a word, or, where spaces are in no token, the word's first character.
    token = np.searchsorted(spans[:, 1], starts - 1, side="right")
    exists = token < len(spans)
    exists[exists] = spans[token[exists], 0] <= starts[exists]
    first[token[exists]] = True
    return first
