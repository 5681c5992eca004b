"""SCALE-UP: the prediction of a triggered image survives when its pixels are multiplied.

Guo et al. 2023, SCALE-UP: An Efficient Black-box Input-level Backdoor Detection via Analyzing Scaled Prediction
Consistency, ICLR (arXiv 2302.03251). An image's scaled prediction consistency is the share of multiples of it, cut off
at 255, with the same predicted label. In the data-limited form it is standardised by the mean and the standard
deviation of clean images of that label. It needs predicted labels alone. The multiples 3, 5, 7, 9 and 11 are from
BackdoorBox, a toolbox of the same group; the paper's own repository takes 1 to 11 and adds noise. A class whose clean
images all agree has no deviation to divide by: we take at least the deviation of one multiple more or less in a single
image, ``1 / multiples``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data import Modality
from anchorlab.data.inputs import kind_of
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors.base import InputDetector
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import predict
from anchorlab.models.device import in_double
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ScaleUp(InputDetector):
    """The share of an image's multiples with the same predicted label."""

    cites: ClassVar[tuple[str, ...]] = ("guo2023scale",)
    modality: ClassVar[Modality] = "image"
    #: For the data-free form; the other form itself checks that it has some of each class.
    min_examples: ClassVar[int] = 0

    largest: int = Field(default=11, ge=2, le=255, description="largest number that pixels are multiplied by")
    step: int = Field(default=2, ge=1, description="step between two such numbers, which begin at 1 + step")
    standardised: bool = Field(
        default=False, description="relative to clean images of the same label, the data-limited form"
    )

    def scores(
        self, model: nn.Module, data: DefenderData, inputs: Mapping[str, Tensor], context: DefenderContext
    ) -> NDArray[np.float64]:
        """See ``InputDetector``."""
        del context
        if kind_of(inputs) != "image":
            raise AnchorlabError(
                f"SCALE-UP multiplies pixels, but the inputs are {', '.join(inputs)}: take a detector made for this "
                "kind of input"
            )
        factors = range(1 + self.step, self.largest + 1, self.step)
        if len(factors) == 0:
            raise AnchorlabError(
                f"SCALE-UP has no multiple from {1 + self.step} to {self.largest}: give a smaller step or a larger "
                "largest"
            )
        shares, labels = consistency(model, inputs["pixel_values"], factors)
        if self.standardised:
            means, deviations = self._clean_moments(model, data, factors)
            shares = (shares - means[labels]) / deviations[labels]
        return shares.cpu().numpy()

    def _clean_moments(self, model: nn.Module, data: DefenderData, factors: range) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the consistency of clean images of each class, float64 ``[C]``."""
        shares, _ = consistency(model, data.train.inputs["pixel_values"], factors)
        counts = in_double(torch.bincount(data.train.labels, minlength=data.classes))
        if (counts == 0).any():
            missing = (counts == 0).nonzero().flatten().tolist()
            raise AnchorlabError(
                f"SCALE-UP standardises by clean images of each class, but the defender has none of {missing}: give "
                "more clean examples, or standardised=false"
            )
        labels = data.train.labels.to(shares.device)
        means = torch.bincount(labels, shares, minlength=data.classes) / counts
        squares = torch.bincount(labels, (shares - means[labels]).square(), minlength=data.classes)
        return means, (squares / counts).sqrt().clamp(min=1 / len(factors))


def consistency(model: nn.Module, images: Tensor, factors: range) -> tuple[Tensor, Tensor]:
    """The scaled prediction consistency of images, and their predicted labels.

    Args:
        model: a classifier of raw pixels.
        images: on the scale 0 to 255, ``[N, C, H, W]``.
        factors: the factors of the pixels.

    Returns:
        float64 ``[N]``, and int64 ``[N]``.
    """
    labels = predict(model, {"pixel_values": images}).argmax(1)
    same = in_double(torch.zeros(len(images), device=images.device))
    for factor in factors:
        # Each batch is multiplied by itself, because float copies take many times the memory of the images.
        answers = predict(model, {"pixel_values": images}, transform=partial(_multiplied, factor))
        same += in_double(answers.argmax(1) == labels)
    return same / len(factors), labels.to(same.device)


def _multiplied(factor: int, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    images = batch["pixel_values"]
    return {"pixel_values": (images.float() * factor).clamp(max=255).to(images.dtype)}
