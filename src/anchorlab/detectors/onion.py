"""ONION: a word that does not belong in a text makes it odd; without the word the text is less odd.

Qi et al. 2021, ONION: A Simple and Effective Defense Against Textual Backdoor Attacks, EMNLP (arXiv 2011.10369). A
word's suspicion is the fall of the text's perplexity when it is taken away; the paper takes away words above a
threshold, we score a text by its most suspicious word. The paper's language model is GPT-2. Where that cannot be had,
the default is our own: bigrams of token ids, fitted on the defender's clean texts (see ``language_models``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data import Modality
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors.base import InputDetector
from anchorlab.detectors.language_models import BigramModel, CausalModel, LanguageModel
from anchorlab.detectors.words import Word, require_encoding, split_words
from anchorlab.settings import STRICT

#: Texts that are scored together.
_TOGETHER = 64

#: Tokens of shortened texts that are scored together, which bounds memory: a text of n words has n of n - 1 words.
_TOKENS = 2**20


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ONION(InputDetector):
    """The largest fall of a text's perplexity when one word is taken away."""

    cites: ClassVar[tuple[str, ...]] = ("qi2021onion",)
    modality: ClassVar[Modality] = "text"

    language_model: str | None = Field(
        default=None,
        description="folder or hub name of a causal language model, as gpt2; without, bigrams of the defender's texts",
    )

    def scores(
        self, model: nn.Module, data: DefenderData, inputs: Mapping[str, Tensor], context: DefenderContext
    ) -> NDArray[np.float64]:
        """See ``InputDetector``; a text of one word, which cannot be taken away, has the score 0."""
        encoding = require_encoding(model, inputs, "ONION")
        if self.language_model is None:
            train, validation = (split_words(part.inputs, encoding) for part in (data.train, data.validation))
            judge: LanguageModel = BigramModel(train, validation, len(encoding.tokenizer))
        else:
            judge = CausalModel(self.language_model, encoding, context.device)
        texts = split_words(inputs, encoding)
        drops = []
        for start in range(0, len(texts), _TOGETHER):
            drops.append(largest_drops(judge, texts[start : start + _TOGETHER]))
            context.report(min(start + _TOGETHER, len(texts)), len(texts), {})
        return np.concatenate(drops)


def largest_drops(judge: LanguageModel, texts: Sequence[Sequence[Word]]) -> NDArray[np.float64]:
    """The largest fall of each text's perplexity when one of its words is taken away, float64 ``[N]``."""
    several = [index for index, text in enumerate(texts) if len(text) > 1]
    drops = np.zeros(len(texts))
    if not several:
        return drops
    whole = judge.perplexities([texts[index] for index in several])
    left_out = [(owner, word) for owner, index in enumerate(several) for word in range(len(texts[index]))]
    together = max(1, _TOKENS // max(sum(map(len, texts[index])) for index in several))
    best = np.full(len(several), np.inf)
    for start in range(0, len(left_out), together):
        part = left_out[start : start + together]
        whose = [(texts[several[owner]], word) for owner, word in part]
        shortened = [[*text[:word], *text[word + 1 :]] for text, word in whose]
        np.minimum.at(best, [owner for owner, _ in part], judge.perplexities(shortened))
    drops[several] = whole - best
    return drops
