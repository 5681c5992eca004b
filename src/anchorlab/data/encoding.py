"""Texts as tensors: token ids are made once, so that no tokenizer runs inside a step.

The inputs that an encoding makes are described in ``anchorlab.data.inputs``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anchorlab.data.inputs import CONTINUED
from anchorlab.errors import AnchorlabError

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
            raise AnchorlabError(
                f"at most {self.max_length} tokens leave no room for a text beside the special tokens: allow more"
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextEncoding) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __deepcopy__(self, _memo: dict[int, Any]) -> TextEncoding:
        return self  # it never changes, and tokenizers are slow to copy

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

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides which ids a text gets."""
        settings = f"{self.tokenizer.backend_tokenizer.to_str()}{self.max_length}{self.pad}"
        return hashlib.sha256(settings.encode()).hexdigest()

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
        inputs = self._encode(texts)
        if self.ids_depend_on_space:
            continued = self._encode([f" {text}" for text in texts])
            inputs |= {f"{CONTINUED}{name}": value for name, value in continued.items()}
            width = max(value.shape[1] for value in inputs.values())
            inputs = {name: functional.pad(value, (0, width - value.shape[1])) for name, value in inputs.items()}
        return inputs

    def _encode(self, texts: Sequence[str]) -> dict[str, Tensor]:
        encoded = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=self.max_length,
            padding=True,
            padding_side="right",
            return_attention_mask=True,
            return_offsets_mapping=True,
            return_tensors="np",
        )
        mask = encoded["attention_mask"].astype(bool)
        starts = np.zeros_like(mask)
        for row, text in enumerate(texts):
            content = slice(len(self.prefix), int(mask[row].sum()) - len(self.suffix))
            starts[row, content] = _first_of_words(text, encoded["offset_mapping"][row, content])
        return {
            "input_ids": torch.from_numpy(encoded["input_ids"].astype(np.int32)),
            "attention_mask": torch.from_numpy(mask),
            "word_starts": torch.from_numpy(starts),
        }

    def save(self, folder: Path) -> None:
        """Writes the tokenizer's files into a model folder."""
        self.tokenizer.save_pretrained(folder)


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
