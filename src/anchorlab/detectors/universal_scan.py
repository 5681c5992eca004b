"""A universal-trigger scan that needs answers alone, no gradients.

Random patches are stamped on clean images, and for each class the patch that sends most images to it is improved by
random changes; the better patch is kept. A class that some patch reaches far better than the other classes are reached
is suspicious: universal patches exist for clean models too, so the score is the best class's rate less the median
class's. In the spirit of black-box detection by Guo et al. 2022 (AEVA, ICLR, arXiv 2110.14880), who estimate gradients;
this search is ours, simpler and weaker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data import Modality
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors.base import ModelDetector, ModelScore, details_of
from anchorlab.models.call import predict
from anchorlab.settings import LARGEST_BATCH, LARGEST_NUMBER, LARGEST_REPETITION, STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class UniversalScan(ModelDetector):
    """Looks for a patch that sends everything to one class."""

    cites: ClassVar[tuple[str, ...]] = ("guo2022aeva",)
    modality: ClassVar[Modality] = "image"
    min_classes: ClassVar[int] = 3

    quick_values: ClassVar[Mapping[str, Any]] = {"rounds": 1}

    patches: int = Field(default=100, ge=1, le=LARGEST_NUMBER, description="random patches")
    rounds: int = Field(
        default=10, ge=0, le=LARGEST_REPETITION, description="rounds in which each class's best patch is changed"
    )
    images: int = Field(default=32, ge=1, le=LARGEST_BATCH, description="clean images that each patch is tried on")
    share: float = Field(default=0.25, gt=0, le=1, description="side of the patch, relative to the image's")

    def score(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> ModelScore:
        """See ``ModelDetector``."""
        images = data.train.inputs["pixel_values"][: self.images]
        labels = data.train.labels[: self.images]
        draw = context.generator("scan")
        patches = [self._random(images, draw) for _ in range(self.patches)]
        rates = torch.stack([self._rates(model, images, labels, patch, data.classes) for patch in patches])
        best = [patches[int(index)] for index in rates.argmax(dim=0)]
        reached = rates.amax(dim=0)
        for number in range(self.rounds):
            for label in range(data.classes):
                changed = self._changed(best[label], images, draw)
                rate = self._rates(model, images, labels, changed, data.classes)[label]
                if rate > reached[label]:
                    best[label], reached[label] = changed, rate
            context.report(number + 1, self.rounds, {})
        details = details_of({"label": range(data.classes), "rate": reached.tolist()})
        top = int(reached.argmax())
        shown = torch.stack([_stamped(torch.zeros_like(images[:1]), best[top])[0]])
        return ModelScore(
            float(reached.max() - reached.median()), details, patterns=shown.cpu(), targets=torch.tensor([top])
        )

    def _random(self, images: Tensor, draw: torch.Generator) -> tuple[Tensor, int, int]:
        """A patch and its position: uniform noise, or one colour."""
        channels, height, width = images.shape[1:]
        tall, wide = (max(1, round(self.share * side)) for side in (height, width))
        flat = bool(torch.rand((), generator=draw) < 0.5)
        pixels = torch.randint(0, 256, (channels, 1 if flat else tall, 1 if flat else wide), generator=draw)
        top, left = (
            int(torch.randint(side - part + 1, (), generator=draw)) for side, part in ((height, tall), (width, wide))
        )
        return pixels.expand(channels, tall, wide).to(torch.uint8).to(images.device), top, left

    def _changed(
        self, patch: tuple[Tensor, int, int], images: Tensor, draw: torch.Generator
    ) -> tuple[Tensor, int, int]:
        """The patch with a fifth of its pixels new, or somewhere else."""
        pixels, top, left = patch
        other, new_top, new_left = self._random(images, draw)
        if bool(torch.rand((), generator=draw) < 0.3):
            return pixels, new_top, new_left
        renewed = (torch.rand(pixels.shape[1:], generator=draw) < 0.2).to(pixels.device)
        return torch.where(renewed, other, pixels), top, left

    def _rates(
        self, model: nn.Module, images: Tensor, labels: Tensor, patch: tuple[Tensor, int, int], classes: int
    ) -> Tensor:
        """For each class, the share of images of other classes that the patch sends to it, ``[C]``."""
        answers = predict(model, {"pixel_values": _stamped(images, patch)}).argmax(1)
        sent = torch.nn.functional.one_hot(answers, classes).float()
        others = 1 - torch.nn.functional.one_hot(labels, classes).float()
        return ((sent * others).sum(dim=0) / others.sum(dim=0).clamp(min=1)).cpu()


def _stamped(images: Tensor, patch: tuple[Tensor, int, int]) -> Tensor:
    pixels, top, left = patch
    stamped = images.clone()
    stamped[:, :, top : top + pixels.shape[1], left : left + pixels.shape[2]] = pixels
    return stamped
