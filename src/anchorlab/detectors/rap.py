"""RAP: a text with a trigger does not mind a word that makes clean texts less certain.

Yang et al. 2021, RAP: Robustness-Aware Perturbations for Defending against Backdoor Attacks on NLP Models, EMNLP (arXiv
2110.07831). A rare word is put first, and its embedding alone is tuned on clean texts of a class so that the class's
probability falls by between ``lower`` and ``upper``, the embedding's norm unchanged. A text whose probability then
falls little is suspicious.

Where we differ. The paper protects one label, known to be the attacker's target; our defender does not know it, so that
a word is tuned for each class, on clean texts of it, and a text is judged by the word of the label that the model gives
it. The word is not in the vocabulary, where the attacker could have taken it too, but a position at the front with an
embedding of its own, which begins as the embedding of a token drawn among the defender's rarest. It is tuned by AdamW
in the loop that all tuning shares; the authors' code takes plain steps along gradients that it never sets back to zero.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data import Modality
from anchorlab.data.batches import Batches
from anchorlab.data.encoding import TextEncoding
from anchorlab.data.inputs import lengths, rows
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors.base import InputDetector
from anchorlab.detectors.words import Word, join_words, require_encoding, split_words
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import logits, predict
from anchorlab.models.device import in_double
from anchorlab.models.word_table import WordLookup, word_lookup
from anchorlab.settings import LARGEST_BATCH, LARGEST_REPETITION, STRICT
from anchorlab.training.fit import Optimisation, Step, StepLoss, fit


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RAP(InputDetector):
    """How little a word that was made to lower the probability of the predicted label lowers it."""

    needs_float: ClassVar[bool] = True
    cites: ClassVar[tuple[str, ...]] = ("yang2021rap",)
    modality: ClassVar[Modality] = "text"

    quick_values: ClassVar[Mapping[str, Any]] = {"steps": 3}

    steps: int = Field(default=300, ge=1, le=LARGEST_REPETITION, description="steps in which a class's word is tuned")
    batch_size: int = Field(default=32, ge=1, le=LARGEST_BATCH, description="examples in a step")
    learning_rate: float = Field(
        default=0.02, gt=0, description="peak learning rate, relative to the entries' root mean square in the embedding"
    )
    lower: float = Field(default=0.1, ge=0, lt=1, description="smallest fall of the probability that is wanted")
    upper: float = Field(default=0.3, gt=0, le=1, description="largest fall of the probability that is wanted")
    scale: float = Field(default=1.0, gt=0, description="weight of falling too little against falling too much")

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``; for one class."""
        del examples
        return self.steps * self.batch_size

    def scores(
        self, model: nn.Module, data: DefenderData, inputs: Mapping[str, Tensor], context: DefenderContext
    ) -> NDArray[np.float64]:
        """See ``InputDetector``; a score is minus the fall, between -1 and 1."""
        encoding = require_encoding(model, inputs, "RAP")
        _check_classes(data)
        if self.lower >= self.upper:
            raise AnchorlabError(
                f"RAP has lower={self.lower} and upper={self.upper}: give a lower one that is below the upper one"
            )
        frozen = copy.deepcopy(model).eval().requires_grad_(False)
        table = word_lookup(frozen, inputs, "rap")
        token = rare_token(data, encoding, context)
        start = table.vectors(torch.tensor(token, device=context.device))
        before = in_double(predict(frozen, inputs)).softmax(1)
        labels = before.argmax(1)
        predicted = sorted(set(labels.tolist()))
        scores = before.new_zeros(len(labels))
        for number, label in enumerate(predicted):
            position = len(encoding.prefix)
            word = self._tuned(frozen, table, start, data, label, encoding, token, context, (number, len(predicted)))
            members = (labels == label).nonzero().flatten()
            longer = with_front_token({name: value[members] for name, value in inputs.items()}, encoding, token)
            with table.replaced(word[None], position):
                after = in_double(predict(frozen, longer)).softmax(1)
            scores[members] = after[:, label] - before[members, label]
        return scores.cpu().numpy()

    def _tuned(
        self,
        model: nn.Module,
        table: WordLookup,
        start: Tensor,
        data: DefenderData,
        label: int,
        encoding: TextEncoding,
        token: int,
        context: DefenderContext,
        which: tuple[int, int],
    ) -> Tensor:
        """The embedding of a class's word, ``[D]``."""
        members = (data.train.labels == label).nonzero().flatten()
        clean = {name: value[members] for name, value in data.train.inputs.items()}
        word = _WordEmbedding(start)
        objective = _FallObjective(model, table, word, clean, label, encoding, token, self, context)

        def report(done: int, figures: dict[str, float]) -> None:
            context.report(which[0] * self.steps + done, which[1] * self.steps, figures)

        fit(
            word,
            objective,
            Optimisation(self.steps, self.learning_rate * float(start.square().mean().sqrt())),
            accelerator=context.accelerator,
            name="RAP",
            report=report,
        )
        return word.values.detach()


class _WordEmbedding(nn.Module):
    """The embedding of one word, ``[D]``."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(start.clone())


class _FallObjective:
    """The objective, for ``fit``: the class's probability must fall by a wanted amount."""

    def __init__(
        self,
        model: nn.Module,
        table: WordLookup,
        word: _WordEmbedding,
        clean: dict[str, Tensor],
        label: int,
        encoding: TextEncoding,
        token: int,
        settings: RAP,
        context: DefenderContext,
    ) -> None:
        self.state: dict[str, Tensor] = {}
        self._model, self._table, self._word, self._label, self._settings = model, table, word, label, settings
        self._norm = word.values.detach().norm()
        self._before = predict(model, clean).softmax(1)[:, label]
        self._longer = with_front_token(clean, encoding, token)
        self._position = len(encoding.prefix)
        size = len(self._before)
        self._batches = Batches(
            size,
            min(settings.batch_size, size),
            seed=context.derive("words", label),
            purpose="detector",
            device=context.device,
            lengths=lengths(self._longer),
        )

    def loss(self, step: int) -> StepLoss:
        """The two hinges, on the batch of a step."""
        indices = self._batches(step)
        with self._table.replaced(self._word.values[None], self._position):
            answers = logits(self._model, rows(self._longer, indices, self._batches.width(step)))
        fall = self._before[indices] - answers.softmax(1)[:, self._label]
        loss = hinges(fall, self._settings.lower, self._settings.upper, self._settings.scale)
        shown = fall.detach()
        return StepLoss(loss, lambda: {"fall": shown.mean()})

    def after_step(self, step: Step) -> None:
        """The embedding keeps its norm."""
        del step
        with torch.no_grad():
            self._word.values.mul_(self._norm / self._word.values.norm().clamp(min=1e-12))


def hinges(fall: Tensor, lower: float, upper: float, scale: float) -> Tensor:
    """The mean of ``scale max(0, lower - fall) + max(0, fall - upper)`` over falls of a probability ``[B]``."""
    return scale * (lower - fall).clamp(min=0).mean() + (fall - upper).clamp(min=0).mean()


def with_front_token(inputs: Mapping[str, Tensor], encoding: TextEncoding, token: int) -> dict[str, Tensor]:
    """Texts with one more token before their first word.

    Its embedding is replaced, but its id says that it is a word: RoBERTa does not count what is filled up as a place.
    """
    first: Word = (token,)
    texts = [[first, *text] for text in split_words(inputs, encoding)]
    return join_words(texts, encoding, inputs["input_ids"].device)


def rare_token(data: DefenderData, encoding: TextEncoding, context: DefenderContext) -> int:
    """An ordinary token id, drawn among those that occur least often in the defender's texts."""
    size = len(encoding.tokenizer)
    ids = data.train.inputs["input_ids"][data.train.inputs["attention_mask"]].long().cpu()
    counts = torch.bincount(ids, minlength=size)[:size]
    counts[encoding.tokenizer.all_special_ids] = len(ids) + 1
    rarest = (counts == counts.min()).nonzero().flatten()
    return int(rarest[torch.randint(len(rarest), (), generator=context.generator("rare token"))])


def _check_classes(data: DefenderData) -> None:
    missing = sorted(set(range(data.classes)) - set(data.train.labels.tolist()))
    if missing:
        raise AnchorlabError(
            f"RAP tunes a word on clean texts of each class, but the defender has none of {missing}: give more clean "
            "examples"
        )
