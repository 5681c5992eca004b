"""MM-BD: the margin that any input can reach for the target class stands out among the classes.

Wang, Xiang, Miller and Kesidis 2024, MM-BD: Post-Training Detection of Backdoor Attacks with Arbitrary Backdoor Pattern
Types Using a Maximum Margin Statistic, IEEE S&P (arXiv 2205.06900). For each class t the margin ``z_t - max z_k``, over
all other classes k, is climbed from random inputs, as far as it goes; no data are needed. A gamma distribution F is
fitted to the margins of all K classes but the largest one r; ``p = 1 - F(r)^K``. The score is minus the decimal
logarithm of p. With fewer than five classes there is nothing to fit, and the score is the largest margin itself:
compare it with clean models of the same data. With ten classes F stands on nine numbers, and p is uncertain.

Images are searched in the range of pixels. Of texts the embeddings of some tokens are searched, from those of tokens
drawn at random, each dimension within the range that it has in the vocabulary; no text need have such embeddings.

Where we differ. The authors' code makes a new optimiser in each step, so that its momentum is lost, and lets inputs
leave the range, where they have no gradient; we climb by Adam and cut each step off at the range. It takes up to 300
steps at 0.01, and ends where the loss changes by less than 1e-5 of itself; we take 150 at 0.1, all of them. It keeps
the margin of the last step, we the largest on the way.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data.inputs import kind_of
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors.base import ModelDetector, ModelScore, details_of
from anchorlab.detectors.word_inversion import ordinary_tokens
from anchorlab.detectors.words import join_words, require_encoding
from anchorlab.models.call import logits
from anchorlab.models.device import exact_arithmetic, in_double
from anchorlab.models.weights import frozen
from anchorlab.models.word_table import word_lookup
from anchorlab.models.wrap import pixels_seen
from anchorlab.settings import LARGEST_BATCH, LARGEST_REPETITION, STRICT
from anchorlab.statistics.arrays import Floats

#: Fewest classes to which a distribution is fitted.
_FITTED = 5

#: Smallest p that a score tells from others.
_LEAST = 1e-300

#: Numbers of all inputs that pass through the model together, which bounds memory.
_NUMBERS = 2**21


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MMBD(ModelDetector):
    """Compares the largest margin that any input has for each class."""

    needs_float: ClassVar[bool] = True
    cites: ClassVar[tuple[str, ...]] = ("wang2024mmbd",)
    needs: ClassVar[str] = "of texts, an nn.Embedding of words"
    min_examples: ClassVar[int] = 1

    quick_values: ClassVar[Mapping[str, Any]] = {"steps": 3, "starts": 2}

    starts: int = Field(default=30, ge=1, le=LARGEST_BATCH, description="random inputs that the search starts from")
    steps: int = Field(default=150, ge=1, le=LARGEST_REPETITION, description="steps of the search")
    learning_rate: float = Field(default=0.1, gt=0, description="learning rate of Adam, relative to the range")
    tokens: int = Field(default=16, ge=1, le=4096, description="tokens of a text whose embeddings are searched")

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``; for one class."""
        del examples
        return self.steps * self.starts

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        if kind_of(inputs) == "text":
            word_lookup(model, inputs, "mm-bd")

    def score(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> ModelScore:
        """See ``ModelDetector``."""
        space = _Images(data) if data.kind == "image" else _Texts(model, data, self.tokens, context)
        together = max(1, _NUMBERS // space.numbers(model))
        of_labels = max(1, together // self.starts)
        reached = []
        with frozen(model), exact_arithmetic(context.device):
            for begin in range(0, data.classes, of_labels):
                labels = torch.arange(begin, min(begin + of_labels, data.classes))
                first = torch.cat(
                    [space.drawn(self.starts, context.generator("starts", label)) for label in labels.tolist()]
                )
                starts_of = labels.repeat_interleave(self.starts).to(context.device)
                for start in range(0, len(first), together):
                    part = slice(start, start + together)
                    reached.append(self._climbed(model, space, first[part].to(context.device), starts_of[part]))
                context.report(int(labels[-1]) + 1, data.classes, {})
        margins = torch.cat(reached).view(data.classes, self.starts).amax(1).cpu().numpy()
        return scored(margins)

    def _climbed(self, model: nn.Module, space: _Images | _Texts, first: Tensor, labels: Tensor) -> Tensor:
        """The largest margin on the way from each start, float64 ``[P]``."""
        inputs = first.requires_grad_()
        optimiser = torch.optim.Adam([inputs], lr=self.learning_rate)
        best = in_double(torch.full((len(labels),), -torch.inf, device=labels.device))
        for step in range(self.steps + 1):
            optimiser.zero_grad()
            found = margins(space.answers(model, inputs), labels)
            best = torch.maximum(best, in_double(found.detach()))
            if step < self.steps:
                (-found.sum()).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                with torch.no_grad():
                    inputs.clamp_(0, 1)
        return best


def margins(answers: Tensor, labels: Tensor) -> Tensor:
    """The logit of each label less the largest other one: ``[P, K]`` and ``[P]`` to ``[P]``."""
    own = labels[:, None]
    others = answers.scatter(1, own, -torch.inf)
    return answers.gather(1, own)[:, 0] - others.amax(1)


def scored(found: Floats) -> ModelScore:
    """The score of the classes' margins, float64 ``[K]``."""
    details = details_of({"label": range(len(found)), "margin": found})
    target = torch.tensor([int(found.argmax())])
    if len(found) < _FITTED:
        note = f"the largest margin itself, because {len(found)} classes are few"
        return ModelScore(float(found.max()), details, note, targets=target)
    value = log_p(found)
    if math.isnan(value):
        return ModelScore(math.nan, details, "the classes' margins are too much alike to fit a distribution to")
    return ModelScore(-value / math.log(10), details, targets=target)


def log_p(found: Floats) -> float:
    """The logarithm of ``1 - F(r)^K`` for the largest of K margins, F being fitted to the others; NaN if none fits."""
    from scipy.stats import gamma  # late: takes a second, and the registry imports this file

    largest = float(found.max())
    others = np.delete(found, int(found.argmax()))
    if np.ptp(others) == 0:
        return math.nan
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = gamma.fit(others)
            above = float(gamma.sf(largest, *fitted))
    except (ValueError, RuntimeError):
        return math.nan
    if not 0 <= above <= 1:
        return math.nan
    if above == 1:
        return 0.0
    return math.log(max(-math.expm1(len(found) * math.log1p(-above)), _LEAST))


class _Images:
    """Images, as numbers between 0 and 1."""

    def __init__(self, data: DefenderData) -> None:
        self._shape = data.train.inputs["pixel_values"].shape[1:]

    def numbers(self, model: nn.Module) -> int:
        """How many numbers an image has, at the size at which the network sees it."""
        return self._shape[0] * pixels_seen(model, self._shape[1], self._shape[2])

    def drawn(self, count: int, draw: torch.Generator) -> Tensor:
        """Random images ``[count, C, H, W]``."""
        return torch.rand(count, *self._shape, generator=draw)

    def answers(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """The model's logits."""
        return logits(model, {"pixel_values": 255 * inputs})


class _Texts:
    """The embeddings of some tokens, each dimension between 0 and 1 of its range in the vocabulary."""

    def __init__(self, model: nn.Module, data: DefenderData, tokens: int, context: DefenderContext) -> None:
        encoding = require_encoding(model, data.train.inputs, "mm-bd")
        self._ids = torch.tensor(ordinary_tokens(encoding))
        self._length = min(tokens, encoding.room)
        self._start = len(encoding.prefix)
        holder = (int(self._ids[0]),) * self._length
        self._inputs = join_words([[holder]], encoding, context.device)
        self._table = word_lookup(model, self._inputs, "mm-bd")
        known = self._table.vectors(self._ids.to(context.device))
        self._low, self._high = known.amin(0), known.amax(0)

    def numbers(self, model: nn.Module) -> int:
        """How many numbers the embeddings of a text have."""
        del model
        return self._length * len(self._low)

    def drawn(self, count: int, draw: torch.Generator) -> Tensor:
        """The embeddings of random tokens ``[count, L, D]``, on the CPU."""
        chosen = self._ids[torch.randint(len(self._ids), (count, self._length), generator=draw)]
        vectors = self._table.vectors(chosen.to(self._low.device))
        return ((vectors - self._low) / (self._high - self._low).clamp(min=1e-12)).cpu()

    def answers(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """The model's logits."""
        vectors = self._low + (self._high - self._low) * inputs
        repeated = {name: value.expand(len(inputs), -1) for name, value in self._inputs.items()}
        with self._table.replaced(vectors, self._start):
            return logits(model, repeated)
