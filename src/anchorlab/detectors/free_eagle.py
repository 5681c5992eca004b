"""FreeEagle: features made up for other classes lean towards the target class.

Fu, Zhang, Ji, Wang, Lin, Feng and Yin 2023, FreeEagle: Detecting Complex Neural Trojans in Data-Free Cases, USENIX
Security (arXiv 2302.14500). The network is split in its middle; no data are needed. For each class, features that
enter the back part are made up: from random ones, descent lowers the cross-entropy of that class and a penalty on
their square, and they stay at 0 and above where they follow a ReLU. What the back part answers to the features of
class s is row s of a matrix, in probabilities. A class's tendency is the mean of its column, its own row left out. The
score is how far the largest tendency lies above the third quartile, in interquartile ranges.

With fewer than five classes quartiles say nothing: by the authors' count the third one is then the largest value
itself, and the score always 0. There the score is the largest tendency: compare it with clean models of the same data.
With ten classes the range stands on the third value from either end, and clean models have outliers too.

What is whose. The paper's algorithm averages the features of two starts, and so do we; the authors' code has one. We
know the paper by that code and by somebody else's that follows its algorithm. Of the authors' code are random values
between 0 and 1, 1000 steps of Adam, learning rate, penalty, and quartiles, which are values of the list with nothing in
between. It leaves out tendencies of 0, which there come from rounding; ours are in double precision, and all count.

The place of the split is ours. The authors name it for each of their networks: what enters the second of a ResNet's
four stages, VGG's fourth block of five, the first linear layer of a small network. We take what enters a module with a
share ``depth`` of all convolutions and linear layers before it, as nearly as there is such a place. It must hold all
that the rest of the network gets of an image: the features of random images, put in place of those of a black one, must
give the answers to the random ones. Features stay at 0 and above if none of those is negative.

Half of the layers is the default, because the paper splits in the middle. Of small digits models with a backdoor from
the start, the last layer (``depth=1``) named the target, and the middle another class; of models tuned to a backdoor
afterwards neither named it reliably. Look at both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from anchorlab.data import Modality
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors.base import ModelDetector, ModelScore, details_of
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import logits
from anchorlab.models.device import exact_arithmetic, in_double
from anchorlab.models.weights import frozen
from anchorlab.notices import notice
from anchorlab.settings import LARGEST_BATCH, LARGEST_REPETITION, STRICT
from anchorlab.statistics.arrays import Floats

#: Fewest classes whose quartiles say anything.
_FEWEST = 5

#: The layers by which depth is counted.
_LAYERS = (nn.Linear, nn.modules.conv._ConvNd)

#: Images on which a place for the split is tried, the first of them black.
_TRIED = 4

#: How much answers may differ by rounding, relative to how much those of different images do, and to their size.
_OF_SPREAD, _OF_SIZE = 1e-3, 1e-6

#: Numbers of all features that pass through the back part together, which bounds memory.
_NUMBERS = 2**21


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FreeEagle(ModelDetector):
    """Makes up features for each class and looks for a class that they all lean to."""

    needs_float: ClassVar[bool] = True
    cites: ClassVar[tuple[str, ...]] = ("fu2023freeeagle",)
    needs: ClassVar[str] = "two convolutions or linear layers, with a place between them through which everything goes"
    modality: ClassVar[Modality] = "image"
    min_examples: ClassVar[int] = 1

    quick_values: ClassVar[Mapping[str, Any]] = {"steps": 3}

    starts: int = Field(default=2, ge=1, le=LARGEST_BATCH, description="searches for a class, which are averaged")
    steps: int = Field(default=1000, ge=1, le=LARGEST_REPETITION, description="steps of a search")
    learning_rate: float = Field(default=0.01, gt=0, description="learning rate of Adam")
    penalty: float = Field(default=0.005, ge=0, description="weight of half the squared norm of the features")
    depth: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="share of convolutions and linear layers before the split; 1 is the last layer",
    )

    def examples_processed(self, examples: int) -> int | None:
        """See ``Defence``; for one class."""
        del examples
        return self.steps * self.starts

    def check_model(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """See ``Defence``."""
        with frozen(model):
            BackPart(model, inputs["pixel_values"], self.depth)

    def score(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> ModelScore:
        """See ``ModelDetector``."""
        if data.classes < _FEWEST:
            notice(
                f"free-eagle scores by the largest tendency itself, because {data.classes} classes have no quartiles "
                "that say anything: compare it with clean models of the same data"
            )
        with frozen(model), exact_arithmetic(context.device):
            back = BackPart(model, tried_images(data, context), self.depth)
            together = max(1, _NUMBERS // (self.starts * back.shape.numel()))
            rows = []
            for first in range(0, data.classes, together):
                labels = range(first, min(first + together, data.classes))
                made_up = self._features(back, labels, context).mean(1)
                with torch.no_grad():
                    rows.append(in_double(back(made_up)).softmax(1))
                context.report(labels.stop, data.classes, {})
        return scored(torch.cat(rows).cpu().numpy())

    def _features(self, back: BackPart, labels: range, context: DefenderContext) -> Tensor:
        """Features made up for some classes, ``[classes, starts, …]``."""
        drawn = [
            torch.rand(self.starts, *back.shape, generator=context.generator("features", label)) for label in labels
        ]
        features = torch.cat(drawn).to(context.device).requires_grad_()
        wanted = torch.tensor(labels, device=context.device).repeat_interleave(self.starts)
        optimiser = torch.optim.Adam([features], lr=self.learning_rate, weight_decay=self.penalty)
        for _ in range(self.steps):
            optimiser.zero_grad()
            # The sum, so that each search is as it would be alone.
            functional.cross_entropy(back(features), wanted, reduction="sum").backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if back.is_positive:
                with torch.no_grad():
                    features.clamp_(min=0)
        return features.detach().view(len(labels), self.starts, *back.shape)


def tried_images(data: DefenderData, context: DefenderContext) -> Tensor:
    """A black image and random ones of the size that the model reads, uint8 ``[n, C, H, W]``."""
    shape = data.train.inputs["pixel_values"].shape[1:]
    images = torch.randint(0, 256, (_TRIED, *shape), generator=context.generator("images"), dtype=torch.uint8)
    images[0] = 0
    return images.to(context.device)


class BackPart:
    """What a network computes behind a place within, as a function of the features that enter there.

    Args:
        model: in evaluation mode.
        images: some images, the first of which lends its place to features.
        depth: share of the convolutions and linear layers before the place.

    Attributes:
        layer: the module that the features enter.
        shape: of one image's features.
        is_positive: whether no feature of the images is negative.

    Raises:
        AnchorlabError: if the network has no such place.
    """

    def __init__(self, model: nn.Module, images: Tensor, depth: float) -> None:
        if sum(isinstance(module, _LAYERS) for module in model.modules()) < 2:
            raise AnchorlabError(
                "free-eagle splits a network between two of its convolutions or linear layers, but the model has fewer "
                "than two: take a detector that asks for answers alone, such as universal-scan"
            )
        self._model, self._images = model, images
        for layer in self._by_distance(depth):
            features, answers = self._entering(layer)
            if features is not None and self._holds_all(layer, features, answers):
                self.layer, self.shape, self.is_positive = layer, features.shape[1:], bool(features.min() >= 0)
                return
        raise AnchorlabError(
            "free-eagle splits a network where everything behind depends on what enters one module alone, with "
            "convolutions or linear layers on both sides, but the model has no such place: take a detector that asks "
            "for answers alone, such as universal-scan"
        )

    def __call__(self, features: Tensor) -> Tensor:
        """The logits ``[B, K]`` of features ``[B, …]``, with their graph."""
        return self._answers(self.layer, features)

    def _answers(self, layer: nn.Module, features: Tensor) -> Tensor:
        def put(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            # Of the dtype of what enters otherwise; a copy, because the layer may change it in place.
            return (features.to(args[0].dtype, copy=True), *args[1:])

        handle = layer.register_forward_pre_hook(put)
        try:
            return logits(self._model, {"pixel_values": self._images[:1]})
        finally:
            handle.remove()

    def _by_distance(self, depth: float) -> list[nn.Module]:
        """Modules that are called once, with layers before and from there on, the nearest to the depth first.

        Of those with as many layers before, the last: it is behind ReLU and pooling.
        """
        called: list[nn.Module] = []
        before: list[int] = []
        passed = 0

        def note(module: nn.Module, _args: tuple[Any, ...]) -> None:
            nonlocal passed
            called.append(module)
            before.append(passed)
            passed += isinstance(module, _LAYERS)

        self._watched(list(self._model.modules()), note)
        places = [
            (abs(count - depth * passed), count, -place, module)
            for place, (module, count) in enumerate(zip(called, before, strict=True))
            if 0 < count < passed and called.count(module) == 1
        ]
        return [module for *_, module in sorted(places, key=lambda found: found[:3])]

    @torch.no_grad()
    def _entering(self, layer: nn.Module) -> tuple[Tensor | None, Tensor]:
        """The features of the images that enter a module, None if it takes something else first; and the answers."""
        found: list[Tensor] = []
        count = len(self._images)

        def note(_module: nn.Module, args: tuple[Any, ...]) -> None:
            if args and isinstance(args[0], Tensor) and args[0].is_floating_point() and args[0].shape[:1] == (count,):
                found.append(args[0].clone())

        answers = self._watched([layer], note)
        return (found[0] if found else None), answers

    @torch.no_grad()
    def _holds_all(self, layer: nn.Module, features: Tensor, answers: Tensor) -> bool:
        """Whether the images' features, in the place of the first one's, give the images' answers."""
        try:
            again = self._answers(layer, features)
        except (RuntimeError, ValueError, TypeError, IndexError):
            return False
        allowed = _OF_SPREAD * (answers - answers[:1]).abs().max() + _OF_SIZE * answers.abs().max()
        return again.shape == answers.shape and bool(((again - answers).abs() <= allowed).all())

    @torch.no_grad()
    def _watched(self, modules: list[nn.Module], hook: Any) -> Tensor:
        """The answers to the images, with a hook before some modules."""
        handles = [module.register_forward_pre_hook(hook) for module in modules]
        try:
            return logits(self._model, {"pixel_values": self._images})
        finally:
            for handle in handles:
                handle.remove()


def scored(matrix: Floats) -> ModelScore:
    """The score of what the back part answers to each class's features, in probabilities, float64 ``[K, K]``."""
    count = len(matrix)
    others = np.where(np.eye(count, dtype=bool), 0.0, matrix)
    tendencies = others.sum(0) / (count - 1)
    details = details_of(
        {
            "label": range(count),
            "own_probability": np.diag(matrix),
            "most_from": others.argmax(0),
            "tendency": tendencies,
        }
    )
    if not np.isfinite(matrix).all():
        return ModelScore(math.nan, details, "the model's answers to the features are not finite")
    target = int(tendencies.argmax())
    note = f"suspected target: label {target}"
    missed = int((matrix.argmax(1) != np.arange(count)).sum())
    if missed:
        note += f"; the features of {missed} of {count} classes get another answer: search longer, by steps"
    if count < _FEWEST:
        note += f"; the largest tendency itself, because {count} classes are few"
        return ModelScore(float(tendencies[target]), details, note, targets=torch.tensor([target]))
    value = above_quartiles(tendencies)
    if math.isnan(value):
        return ModelScore(math.nan, details, "the classes' tendencies are too much alike to have quartiles apart")
    return ModelScore(value, details, note, targets=torch.tensor([target]))


def above_quartiles(values: Floats) -> float:
    """How far the largest value lies above the third quartile, in interquartile ranges; NaN if that range is 0.

    The quartiles of n values are those with n // 4 and 3n // 4 smaller ones.
    """
    ordered = np.sort(values)
    first, third = ordered[len(values) // 4], ordered[3 * len(values) // 4]
    if third - first < np.finfo(np.float64).tiny:
        return math.nan
    return float((ordered[-1] - third) / (third - first))
