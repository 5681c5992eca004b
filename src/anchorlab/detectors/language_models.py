"""Language models that measure how odd a text is: bigrams of the defender's clean texts, and models of transformers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anchorlab.data.encoding import TextEncoding
from anchorlab.detectors.words import Word
from anchorlab.errors import AnchorlabError, reason
from anchorlab.models.call import EVALUATION_TOKENS
from anchorlab.models.causal import open_causal
from anchorlab.models.device import in_double
from anchorlab.models.folders import find_folder
from anchorlab.models.positions import token_limit
from anchorlab.statistics.arrays import Floats

Text = Sequence[Word]


class LanguageModel(Protocol):
    """Gives the perplexity of texts."""

    def perplexities(self, texts: Sequence[Text]) -> Floats:
        """The exponential of the mean negative log-probability of a text's tokens, float64 ``[N]``; none is empty."""


class BigramModel:
    """A token's probability after the one before: it interpolates bigrams, unigrams and the uniform distribution.

    ``P(t | s) = a count(s, t) / count(s, .) + b count(t) / T + c / V``. The weights a, b and c make held-back texts
    likeliest, by expectation maximisation (Jelinek and Mercer 1980); they are positive, so that no text is impossible.
    A text's first token follows the id V, which no token has. Where s never occurred, its share falls to the unigrams.

    Args:
        train: the texts to count.
        validation: other texts, to choose the weights on.
        vocabulary: number V of ids.
    """

    #: Rounds of expectation maximisation; the weights move little after a few.
    _ROUNDS = 50

    def __init__(self, train: Sequence[Text], validation: Sequence[Text], vocabulary: int) -> None:
        self._vocabulary = vocabulary
        before, tokens, _ = self._pairs(train)
        self._bigrams, self._bigram_counts = np.unique(self._key(before, tokens), return_counts=True)
        self._before = np.bincount(before, minlength=vocabulary + 1)
        self._unigrams = np.bincount(tokens, minlength=vocabulary) / max(1, len(tokens))
        self.weights = np.full(3, 1 / 3)
        before, tokens, _ = self._pairs(validation)
        for _ in range(self._ROUNDS if len(tokens) else 0):
            parts = self.weights * self._parts(before, tokens)
            # A floor, because validation texts without any new bigram would make all new bigrams impossible.
            self.weights = (parts / parts.sum(1, keepdims=True)).mean(0).clip(min=1e-3)
            self.weights /= self.weights.sum()

    def perplexities(self, texts: Sequence[Text]) -> Floats:
        """See ``LanguageModel``."""
        before, tokens, owners = self._pairs(texts)
        surprise = -np.log(self._parts(before, tokens) @ self.weights)
        return np.exp(np.bincount(owners, surprise, minlength=len(texts)) / np.bincount(owners, minlength=len(texts)))

    def _parts(self, before: Any, tokens: Any) -> Floats:
        """The three distributions' probabilities of tokens after others, ``[T, 3]``."""
        key = self._key(before, tokens)
        indices = np.searchsorted(self._bigrams, key).clip(max=max(0, len(self._bigrams) - 1))
        counts = (
            np.where(self._bigrams[indices] == key, self._bigram_counts[indices], 0) if len(self._bigrams) else 0 * key
        )
        unigram, total = self._unigrams[tokens], self._before[before]
        bigram = np.where(total > 0, counts / np.maximum(total, 1), unigram)
        return np.stack([bigram, unigram, np.full(len(tokens), 1 / self._vocabulary)], axis=1)

    def _pairs(self, texts: Sequence[Text]) -> tuple[Any, Any, Any]:
        """Each token with the token before it and the number of its text, int64 ``[T]`` each."""
        rows = [[self._vocabulary, *(token for word in text for token in word)] for text in texts]
        before = np.array([token for row in rows for token in row[:-1]], dtype=np.int64)
        tokens = np.array([token for row in rows for token in row[1:]], dtype=np.int64)
        return before, tokens, np.repeat(np.arange(len(rows)), [len(row) - 1 for row in rows])

    def _key(self, before: Any, tokens: Any) -> Any:
        return before * (self._vocabulary + 1) + tokens


class CausalModel:
    """A causal language model of transformers, as GPT-2, with its own tokenizer.

    Args:
        source: a folder with weights in safetensors, or a name on the hub.
        encoding: the encoding of the texts.
        device: the device of the model.

    Raises:
        AnchorlabError: if it cannot be opened.
    """

    def __init__(self, source: str, encoding: TextEncoding, device: torch.device) -> None:
        self._encoding, self._device = encoding, device
        self._net, self._tokenizer = _open(source)
        self._net.to(device)
        # A token that begins each text, so that the text's first token counts too.
        starts = (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id, self._tokenizer.cls_token_id)
        self._start = next((token for token in starts if token is not None), None)
        self._limit = token_limit(self._net, self._net.config, None)

    @torch.inference_mode()
    def perplexities(self, texts: Sequence[Text]) -> Floats:
        """See ``LanguageModel``; a text beyond the model's limit is cut off there."""
        written = self._encoding.tokenizer.batch_decode([[token for word in text for token in word] for text in texts])
        ids = [self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] for text in written]
        begun = [([self._start] if self._start is not None else []) + list(row) for row in ids]
        rows = [row[: self._limit] for row in begun]
        order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
        perplexities, start = np.ones(len(rows)), 0
        while start < len(order):
            end = start + max(1, EVALUATION_TOKENS // 4 // max(1, len(rows[order[start]])))
            batch = order[start:end]
            perplexities[batch] = self._of_batch([rows[index] for index in batch])
            start = end
        return perplexities

    def _of_batch(self, rows: list[list[int]]) -> Floats:
        """Perplexities of rows of ids, the longest first; 1 for a text in which no token has another before it."""
        width = len(rows[0])
        if width < 2:
            return np.ones(len(rows))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=self._device)
        sizes = torch.tensor([len(row) for row in rows], device=self._device)
        mask = torch.arange(width, device=self._device) < sizes[:, None]
        logits: Tensor = self._net(input_ids=ids, attention_mask=mask.long()).logits[:, :-1].float()
        surprise = in_double(functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none"))
        judged = mask[:, 1:].to(surprise.device)
        means = (surprise * judged).sum(1) / judged.sum(1).clamp(min=1)
        # Cut off, because a difference of two infinities is not a number.
        return means.clamp(max=math.log(1e30)).exp().cpu().numpy()


def _open(source: str) -> tuple[Any, Any]:
    """The model and its tokenizer, on the CPU, in evaluation mode."""
    try:
        model = open_causal(find_folder(source))
        return model.net, model.tokenizer
    except Exception as error:  # each kind of damage raises another type
        cause = str(error) if isinstance(error, AnchorlabError) else reason(error)
        raise AnchorlabError(
            f"the language model {source} cannot be opened ({cause}): give a folder of a causal language model with "
            "safetensors and tokenizer, a name on the hub, or none"
        ) from error
