"""STRIP: a trigger that wins over all blends of its input leaves the answers certain.

Gao et al. 2019, STRIP: A Defence Against Trojan Attacks on Deep Neural Networks, ACSAC (arXiv 1902.06531). Each input
is blended with clean examples of the defender's; the entropy of the answers, over classes, is averaged over the blends.
Low entropy is suspicious. As in the authors' code, a blend is the sum of both images, cut off at 255. Of texts, a share
of the words is replaced by words of a clean example, its words of the highest tf-idf first (Gao et al. 2021, Design and
Evaluation of a Multi-Domain Trojan Detection Method on Deep Neural Networks, arXiv 1911.10312).

The paper draws clean examples, and which words are replaced, again for each input. We draw them once for all inputs, so
that the score of an input does not depend on other inputs, and all inputs are compared over the same blends.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data.inputs import kind_of
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors.base import InputDetector
from anchorlab.detectors.words import Word, join_words, require_encoding, split_words
from anchorlab.models.call import EVALUATION_BATCH, predict
from anchorlab.models.device import in_double
from anchorlab.settings import LARGEST_NUMBER, STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class STRIP(InputDetector):
    """The entropy of a model's answers to blends of an input with clean ones."""

    cites: ClassVar[tuple[str, ...]] = ("gao2019strip", "gao2019design")

    blends: int = Field(
        default=32,
        ge=1,
        le=LARGEST_NUMBER,
        description="clean examples that each input is blended with; 100 in the paper",
    )
    own_weight: float = Field(default=1.0, gt=0, description="weight of the input's pixels in a blend of images")
    clean_weight: float = Field(
        default=1.0, gt=0, description="weight of the clean example's pixels in a blend of images"
    )
    replaced: float = Field(default=0.5, gt=0, le=1, description="share of the words that are replaced in a text")

    def scores(
        self, model: nn.Module, data: DefenderData, inputs: Mapping[str, Tensor], context: DefenderContext
    ) -> NDArray[np.float64]:
        """See ``InputDetector``; a score is minus the mean entropy in bits."""
        size = len(data.train)
        indices = torch.randint(size, (self.blends,), generator=context.generator("blends")).to(context.device)
        overlays = {name: value[indices] for name, value in data.train.inputs.items()}
        scored = []
        blended = self._images if kind_of(inputs) == "image" else self._texts
        total = len(next(iter(inputs.values())))
        done = 0
        for blends in blended(model, data, overlays, inputs, context):
            entropies = mean_entropy(predict(model, blends), self.blends)
            scored.append(entropies)
            done += len(entropies)
            context.report(done, total, {})
        return -torch.cat(scored).cpu().numpy()

    def _images(
        self,
        _model: nn.Module,
        _data: DefenderData,
        overlays: dict[str, Tensor],
        inputs: Mapping[str, Tensor],
        _context: DefenderContext,
    ) -> Iterator[dict[str, Tensor]]:
        """The blends of some inputs at a time: all of the first input, all of the second, ..."""
        together = _together(self.blends)
        for start in range(0, len(inputs["pixel_values"]), together):
            images = inputs["pixel_values"][start : start + together]
            both = blend(images, overlays["pixel_values"], self.own_weight, self.clean_weight)
            yield {"pixel_values": both.flatten(0, 1)}

    def _texts(
        self,
        model: nn.Module,
        data: DefenderData,
        overlays: dict[str, Tensor],
        inputs: Mapping[str, Tensor],
        context: DefenderContext,
    ) -> Iterator[dict[str, Tensor]]:
        """The blends of some texts at a time; an input's words are replaced at other positions in each blend."""
        encoding = require_encoding(model, inputs, "STRIP")
        new = by_tf_idf(split_words(overlays, encoding), split_words(data.train.inputs, encoding))
        ranks = torch.rand(self.blends, encoding.room, generator=context.generator("places"))
        texts = split_words(inputs, encoding)
        for start in range(0, len(texts), _together(self.blends)):
            batch = texts[start : start + _together(self.blends)]
            mixed = [
                replace_words(text, words, rank, self.replaced)
                for text in batch
                for words, rank in zip(new, ranks, strict=True)
            ]
            yield join_words(mixed, encoding, context.device)


def mean_entropy(logits: Tensor, blends: int) -> Tensor:
    """The mean over an input's blends of the Shannon entropy over classes, in bits.

    Args:
        logits: logits of all blends of the first input, then of the second, ...: ``[B * blends, C]``.
        blends: number of blends of each input.

    Returns:
        float64 ``[B]``.
    """
    shares = in_double(logits).log_softmax(1)
    entropies = -(shares.exp() * shares).sum(1) / math.log(2)
    return entropies.view(-1, blends).mean(1)


def blend(images: Tensor, overlays: Tensor, own: float, clean: float) -> Tensor:
    """Each image with each overlay, rounded and cut off at 255: ``[B, ...]`` and ``[n, ...]`` to ``[B, n, ...]``."""
    both = own * images[:, None].float() + clean * overlays[None].float()
    return both.round().clamp(0, 255).to(images.dtype)


def replace_words(text: Sequence[Word], new: Sequence[Word], ranks: Tensor, share: float) -> list[Word]:
    """A text whose words at the positions of the lowest ranks are replaced, by the new words in turn; at least one."""
    if not text or not new:
        return list(text)
    positions = ranks[: len(text)].argsort()[: max(1, round(share * len(text)))].tolist()
    mixed = list(text)
    for number, position in enumerate(sorted(positions)):
        mixed[position] = new[number % len(new)]
    return mixed


def by_tf_idf(texts: Sequence[Sequence[Word]], corpus: Sequence[Sequence[Word]]) -> list[list[Word]]:
    """The distinct words of each text, the highest tf-idf first: ``count * (ln(N / texts with it) + 1)``."""
    within = Counter(word for text in corpus for word in set(text))
    ranked = []
    for text in texts:
        weights = {word: count * (math.log(len(corpus) / within[word]) + 1) for word, count in Counter(text).items()}
        ranked.append(sorted(weights, key=lambda word: (-weights[word], word)))
    return ranked


def _together(blends: int) -> int:
    """Inputs whose blends fill a batch."""
    return max(1, EVALUATION_BATCH // blends)
