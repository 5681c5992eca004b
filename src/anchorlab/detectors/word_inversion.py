"""Word inversion: the words that send clean texts of all other classes to one class.

In the manner of Shen et al. 2022, Constrained Optimization with Dynamic Bound-scaling for Effective NLP Backdoor
Defense, ICML (DBS, arXiv 2202.05749), and Liu et al. 2022, PICCOLO: Exposing Complex Backdoors in NLP Transformer
Models, IEEE S&P. For each label, some tokens are put before clean texts of the other labels. Each token is soft at
first, a mixture ``softmax(a / T) E`` of all embeddings E of the vocabulary, and a is tuned so that the texts get the
label, while the temperature T falls and the mixture comes near to one token. From several starts. Then tokens are hard,
and are exchanged one by one for others that the gradient, or the mixture, proposes, as long as the loss falls.

The score is minus the cross-entropy of the best label's hard tokens: near 0 where every text follows them. Clean
models have words that sway many texts, too. What a score means, clean models of the same data say, by ``detect
--reference`` or a population; two classes are enough for that. Where the defender names clean models (``benign``), the
search holds words that sway these as well against themselves, and the score is the cross-entropy under the benign model
that is swayed most, less that under the judged one.

Where we differ. DBS raises and lowers the temperature as the loss goes, with noise; we lower it steadily and begin
again. It searches ten tokens, PICCOLO words of several tokens; the fewer there are, the less a clean model can be
swayed, and our default is two. The exchange of hard tokens is that of Wallace et al. 2019 (arXiv 1908.07125). DBS puts
a bound on a benign model's loss on the other label; here the benign models' loss on the texts' own labels is added.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.data import Modality
from anchorlab.data.encoding import TextEncoding
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors.base import ModelDetector, ModelScore, details_of
from anchorlab.detectors.benign import open_benign
from anchorlab.detectors.words import Word, join_words, require_encoding, split_words
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import EVALUATION_TOKENS, logits, predict
from anchorlab.models.device import exact_arithmetic, in_double
from anchorlab.models.weights import frozen
from anchorlab.models.word_table import WordLookup, word_lookup
from anchorlab.models.wrap import encoding_of
from anchorlab.settings import LARGEST_BATCH, LARGEST_REPETITION, STRICT
from anchorlab.statistics.counted import several

#: Temperatures at the beginning and at the end of a search.
_HOT, _COLD = 2.0, 0.1

#: Tokens that are proposed for a place, and passes over all places.
_PROPOSED, _PASSES = 12, 3

#: Texts that pass through the model together in the exchange of hard tokens.
_TOGETHER = 512


@dataclass(frozen=True, kw_only=True, config=STRICT)
class WordInversion(ModelDetector):
    """Searches for words that send all texts to one label."""

    needs_float: ClassVar[bool] = True
    cites: ClassVar[tuple[str, ...]] = ("shen2022constrained", "liu2022piccolo", "wallace2019universal")
    needs: ClassVar[str] = "a tokenizer and an nn.Embedding of words"
    modality: ClassVar[Modality] = "text"

    quick_values: ClassVar[Mapping[str, Any]] = {"steps": 3, "restarts": 1, "texts": 4}

    tokens: int = Field(default=2, ge=1, le=32, description="tokens that are put before the texts")
    steps: int = Field(default=100, ge=1, le=LARGEST_REPETITION, description="steps of the search from each start")
    restarts: int = Field(default=2, ge=1, le=LARGEST_REPETITION, description="starts of the search for each label")
    texts: int = Field(default=24, ge=1, le=LARGEST_BATCH, description="clean texts of other labels for each label")
    learning_rate: float = Field(default=0.5, gt=0, description="learning rate of Adam on the mixtures")
    benign: str = Field(
        default="",
        description="model folders of clean models with the same classes and tokenizer, with commas between them",
    )

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        if encoding_of(model) is None or not any(isinstance(part, nn.Embedding) for part in model.modules()):
            raise AnchorlabError(
                "word-inversion mixes the embeddings of a vocabulary, but the model has no tokenizer or no "
                "nn.Embedding: give a classifier of texts with both"
            )
        word_lookup(model, inputs, "word-inversion")

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``; for one label and one start."""
        return self.steps * min(self.texts, examples)

    def score(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> ModelScore:
        """See ``ModelDetector``."""
        self.check_model(model, data.train.inputs)
        encoding = require_encoding(model, data.train.inputs, "word-inversion")
        benign = [open_benign(place, model, data, context.device) for place in self._places()]
        room = encoding.room - self.tokens
        if room < 1:
            raise AnchorlabError(
                f"word-inversion puts {self.tokens} tokens before texts, but the model reads {encoding.room} in all: "
                "give fewer tokens"
            )
        answers = predict(model, data.train.inputs).argmax(1)
        found: list[_Found] = []
        skipped = []
        for label in range(data.classes):
            texts = self._texts(data, answers, label, encoding, context)
            if texts is None:
                skipped.append(label)
                continue
            for restart in range(self.restarts):
                draw = context.generator("words", label, restart)
                found.append(_search(self, model, benign, texts, label, encoding, draw))
                context.report(label * self.restarts + restart + 1, data.classes * self.restarts, {})
        return _scored(found, skipped, encoding, with_benign=bool(benign))

    def _places(self) -> list[str]:
        return [place.strip() for place in self.benign.split(",") if place.strip()]

    def _texts(
        self, data: DefenderData, answers: Tensor, label: int, encoding: TextEncoding, context: DefenderContext
    ) -> _Texts | None:
        """Clean texts of other labels that the model answers rightly, drawn anew for each label; None if none are."""
        labels = data.train.labels
        fitting = ((labels != label) & (answers == labels)).nonzero().flatten()
        if len(fitting) == 0:
            return None
        order = torch.randperm(len(fitting), generator=context.generator("texts", label))[: self.texts]
        chosen = fitting[order.to(fitting.device)]
        inputs = {name: value[chosen] for name, value in data.train.inputs.items()}
        # Any ordinary token holds the places; its embedding is never used.
        holder: Word = (ordinary_tokens(encoding)[0],) * self.tokens
        longer = join_words([[holder, *text] for text in split_words(inputs, encoding)], encoding, context.device)
        return _Texts(longer, labels[chosen], len(encoding.prefix), self.tokens)


@plain_dataclass(frozen=True)
class _Texts:
    """Texts with places for tokens.

    Attributes:
        inputs: of B texts.
        labels: their own labels, int64 ``[B]``.
        start: the first place.
        tokens: number n of places.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    start: int
    tokens: int

    def with_tokens(self, ids: Tensor) -> dict[str, Tensor]:
        """The texts with each of K sequences of tokens ``[K, n]``: K B texts, those of the first sequence first."""
        count, size = len(ids), len(self.labels)
        inputs = {name: value.repeat(count, 1) for name, value in self.inputs.items()}
        put = ids.repeat_interleave(size, dim=0).to(inputs["input_ids"].dtype)
        inputs["input_ids"][:, self.start : self.start + self.tokens] = put
        return inputs


@plain_dataclass(frozen=True)
class _Found:
    """What one search found: tokens ``[n]``, their cross-entropies, and the share of texts that they send there."""

    label: int
    ids: tuple[int, ...]
    loss: float
    benign_loss: float
    rate: float

    @property
    def suspicion(self) -> float:
        """Minus the loss; relative to the benign models' where there are any."""
        return -self.loss if math.isnan(self.benign_loss) else self.benign_loss - self.loss


def _search(
    settings: WordInversion,
    model: nn.Module,
    benign: Sequence[nn.Module],
    texts: _Texts,
    label: int,
    encoding: TextEncoding,
    draw: torch.Generator,
) -> _Found:
    """Tokens for one label from one start."""
    device = texts.labels.device
    models = [model, *benign]
    tables = [word_lookup(one, texts.inputs, "word-inversion") for one in models]
    allowed = torch.full((tables[0].size,), -torch.inf, device=device)
    allowed[torch.tensor(ordinary_tokens(encoding), device=device)] = 0
    start = torch.randn(texts.tokens, len(allowed), generator=draw).to(device)
    mixtures = start.requires_grad_()
    optimiser = torch.optim.Adam([mixtures], lr=settings.learning_rate)
    targets = torch.full_like(texts.labels, label)
    with exact_arithmetic(device), frozen_all(models):
        for step in range(settings.steps):
            temperature = _HOT * (_COLD / _HOT) ** (step / max(1, settings.steps - 1))
            optimiser.zero_grad()
            shares = (mixtures / temperature + allowed).softmax(1)
            given = shares.detach().requires_grad_()
            # The last model first, as one backward pass through the sum of the losses would add their gradients.
            for number, (one, table) in reversed(list(enumerate(zip(models, tables, strict=True)))):
                mixed, wanted = table.mixed(given), targets if number == 0 else texts.labels
                mixed.backward(_gradient(one, table, mixed, texts, wanted, count=1 if number == 0 else len(benign)))  # type: ignore[no-untyped-call]
            shares.backward(given.grad)
            optimiser.step()
        scored = (mixtures.detach() + allowed).topk(min(_PROPOSED, int((allowed == 0).sum())), dim=1).indices
        return _hardened(models, tables, texts, label, scored, allowed)


def _hardened(
    models: Sequence[nn.Module],
    tables: Sequence[WordLookup],
    texts: _Texts,
    label: int,
    mixed: Tensor,
    allowed: Tensor,
) -> _Found:
    """Hard tokens, exchanged for those that the mixtures ``[n, k]`` and the gradient propose, while that helps."""
    best = mixed[:, 0].clone()
    value, losses = (part[0] for part in _values(models, texts, label, best[None]))
    for _ in range(_PASSES):
        before = value
        for place in range(texts.tokens):
            proposals = torch.cat(
                [mixed[place], _by_gradient(models[0], tables[0], texts, label, best, place, allowed)]
            )
            tried = best.repeat(len(proposals), 1)
            tried[:, place] = proposals
            values, all_losses = _values(models, texts, label, tried)
            at = values.argmin()
            if values[at] < value:
                best, value, losses = tried[at], values[at], all_losses[at]
        if value >= before:
            break
    answers = predict(models[0], texts.with_tokens(best[None])).argmax(1)
    benign = float(losses[1:].min()) if len(models) > 1 else math.nan
    rate = float(in_double(answers == label).mean())
    return _Found(label, tuple(best.tolist()), float(losses[0]), benign, rate)


def _values(models: Sequence[nn.Module], texts: _Texts, label: int, ids: Tensor) -> tuple[Tensor, Tensor]:
    """What the exchange brings down, ``[K]``, and every model's loss towards the label, ``[K, models]``.

    It is the judged model's loss, less the smallest of the benign models' where there are any.
    """
    size, columns = len(texts.labels), []
    for model in models:
        parts = []
        together = max(1, _TOGETHER // size)
        for start in range(0, len(ids), together):
            some = ids[start : start + together]
            answers = in_double(predict(model, texts.with_tokens(some))).log_softmax(1)[:, label]
            parts.append(-answers.view(len(some), size).mean(1))
        columns.append(torch.cat(parts))
    losses = torch.stack(columns, 1)
    return (losses[:, 0] - losses[:, 1:].amin(1) if len(models) > 1 else losses[:, 0]), losses


def _gradient(
    model: nn.Module, table: WordLookup, vectors: Tensor, texts: _Texts, wanted: Tensor, *, count: int = 1
) -> Tensor:
    """The gradient of the mean loss over texts, of which a bounded number of tokens passes through the model at once.

    Args:
        model: the model, none of whose parameters asks for a gradient.
        table: its table of words.
        vectors: embeddings of the tokens before the texts, ``[n, D]``.
        texts: the texts.
        wanted: the labels that they are to get, int64 ``[B]``.
        count: the number that the loss is divided by.

    Returns:
        Float32 ``[n, D]``.
    """
    leaf, size = vectors.detach().clone().requires_grad_(), len(wanted)
    together = max(1, EVALUATION_TOKENS // texts.inputs["input_ids"].shape[1])
    for start in range(0, size, together):
        some = {name: value[start : start + together] for name, value in texts.inputs.items()}
        with table.replaced(leaf, texts.start):
            answers = logits(model, some)
        loss = functional.cross_entropy(answers, wanted[start : start + together]) * (len(answers) / size) / count
        loss.backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    return leaf.grad


def _by_gradient(
    model: nn.Module, table: WordLookup, texts: _Texts, label: int, ids: Tensor, place: int, allowed: Tensor
) -> Tensor:
    """Tokens whose embeddings lie farthest down the gradient of the loss at one place, ``[k]``."""
    held = replace(texts, inputs=texts.with_tokens(ids[None]))
    gradient = _gradient(model, table, table.vectors(ids), held, torch.full_like(texts.labels, label))
    falls = -table.along(gradient[place]) + allowed
    return falls.topk(min(_PROPOSED, int((allowed == 0).sum()))).indices


def _scored(
    found: Sequence[_Found], skipped: Sequence[int], encoding: TextEncoding, *, with_benign: bool
) -> ModelScore:
    """The score of all searches; a row each."""
    words = [encoding.tokenizer.decode(list(one.ids)).strip() for one in found]
    columns: dict[str, list[Any]] = {
        "label": [one.label for one in found],
        "words": words,
        "rate": [one.rate for one in found],
        "loss": [one.loss for one in found],
    }
    if with_benign:
        columns["benign_loss"] = [one.benign_loss for one in found]
    columns["suspicion"] = [one.suspicion for one in found]
    if not found:
        return ModelScore(math.nan, details_of(columns), "the model answers no clean text of the defender rightly")
    best = max(range(len(found)), key=lambda at: found[at].suspicion)
    note = f"'{words[best]}' before a text sends {found[best].rate:.0%} of other texts to label {found[best].label}"
    if skipped:
        note += f"; no clean text was left to search on for {several(len(skipped), 'label')}"
    target = torch.tensor([found[best].label])
    return ModelScore(found[best].suspicion, details_of(columns), note, targets=target)


def ordinary_tokens(encoding: TextEncoding) -> list[int]:
    """The ids that a text can have: all but special ones, and those that a tokenizer keeps free.

    Raises:
        AnchorlabError: if there are none.
    """
    tokenizer = encoding.tokenizer
    special = set(tokenizer.all_special_ids)
    ids = [
        number
        for token, number in sorted(tokenizer.get_vocab().items(), key=lambda entry: int(entry[1]))
        if number not in special and not token.startswith("[unused")
    ]
    if not ids:
        raise AnchorlabError("a vocabulary is searched, but the tokenizer has special tokens alone: give another model")
    return ids


@contextmanager
def frozen_all(models: Sequence[nn.Module]) -> Iterator[None]:
    """Inside, no parameter of any model asks for a gradient."""
    if not models:
        yield
        return
    with frozen(models[0]), frozen_all(models[1:]):
        yield
