"""The log-probabilities that llama.cpp's statistics are made of: stored in a base file, or computed by a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from anchorlab.errors import AnchorlabError, shortened
from anchorlab.models.causal import CausalLM
from anchorlab.models.device import device_of, in_double
from anchorlab.statistics.arrays import Floats, Integers
from anchorlab.tokens.kld import BaseFile
from anchorlab.tokens.llama_cpp import log_probabilities

#: Some scored rows of a chunk, from ``start`` to ``stop``: log-probabilities, float64 ``[stop - start, vocabulary]``.
Rows: TypeAlias = Callable[[int, int], Floats]


@dataclass(frozen=True)
class StoredAnswers:
    """Read from a base file, a few rows at a time."""

    file: BaseFile

    @property
    def source(self) -> str:
        """The path of the file."""
        return str(self.file.path)

    @property
    def vocabulary(self) -> int:
        """As the file says."""
        return self.file.vocabulary

    def of(self, chunk: int) -> Rows:
        """The rows of a chunk."""
        return lambda start, stop: self.file.rows(chunk, start, stop)


@dataclass(frozen=True)
class ModelAnswers:
    """Computed by a model, a chunk at a time; no more than one chunk's logits are held.

    Attributes:
        model: the model, on the device where it computes.
        chunks: what it reads, integer ``[chunks, context]``.
    """

    model: CausalLM
    chunks: Integers

    @property
    def source(self) -> str:
        """The folder of the model."""
        return self.model.source

    @property
    def vocabulary(self) -> int:
        """Entries of the model's logits."""
        return int(self.model.logits(torch.zeros(1, 1, dtype=torch.int64, device=self._device)).shape[-1])

    @property
    def _device(self) -> torch.device:
        return device_of(self.model.net)

    def of(self, chunk: int) -> Rows:
        """The rows of a chunk, for which the model reads it once."""
        ids = torch.from_numpy(self.chunks[chunk : chunk + 1]).to(self._device)
        context = ids.shape[1]
        logits = self.model.logits(ids, last=context - context // 2)[0, :-1]
        return lambda start, stop: log_probabilities(self._checked(logits[start:stop], chunk))

    def _checked(self, logits: Tensor, chunk: int) -> Floats:
        rows = np.asarray(in_double(logits).cpu().numpy())
        if not np.isfinite(rows.max(axis=1)).all():
            raise AnchorlabError(
                f"{shortened(self.source)} answers chunk {chunk + 1} with logits that are not numbers, or infinite: "
                "give a model whose weights are sound, or compute in float32"
            )
        return rows


Answers: TypeAlias = StoredAnswers | ModelAnswers


def chunks_of(tokens: Any, context: int) -> Integers:
    """Tokens cut into chunks of one context, int64 ``[chunks, context]``; what is left over at the end is dropped.

    Raises:
        AnchorlabError: for fewer than two chunks, of which llama.cpp makes no statistics.
    """
    row = np.asarray(tokens, dtype=np.int64)
    chunks = len(row) // context
    if chunks < 2:
        raise AnchorlabError(
            f"the text has {len(row):,} tokens, but llama.cpp needs two chunks of {context:,}: give more text, or a "
            "smaller --context"
        )
    return row[: chunks * context].reshape(chunks, context)


def tokens_of(text: str, tokenizer: Any) -> Integers:
    """The tokens of a whole text as llama.cpp reads it: BOS before it if the vocabulary adds it, and nothing after it.

    What looks like a special token is plain text.
    """
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
    begin = [tokenizer.bos_token_id] if adds_bos(tokenizer) else []
    return np.asarray([*begin, *ids], dtype=np.int64)


def adds_bos(tokenizer: Any) -> bool:
    """Whether a tokenizer puts its BOS before a text."""
    return tokenizer.bos_token_id is not None and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]


def with_bos(chunks: Integers, bos: int | None) -> Integers:
    """What the models read: each chunk begins with BOS where the first one does."""
    if bos is None or chunks[0, 0] != bos:
        return chunks
    read = chunks.copy()
    read[:, 0] = bos
    return read


def check_fits(answers: ModelAnswers, context: int, name: str) -> None:
    """Refuses a model that cannot read a whole chunk."""
    if context > answers.model.limit:
        raise AnchorlabError(
            f"the {name} {shortened(answers.source)} reads {answers.model.limit:,} tokens at once, but a chunk has "
            f"{context:,}: give a smaller --context, or write the base file with a smaller one"
        )
