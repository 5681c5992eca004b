"""TeCo: an image with a trigger survives some kinds of corruption for long, and others hardly at all.

Liu, Li, Wang, Hu, Ye, Jin, Wu and Xiao 2023, Detecting Backdoors During the Inference Stage Based on Corruption
Robustness Consistency, CVPR (arXiv 2303.18191). For each kind of corruption, the least of its severities 1 to 5 at
which the predicted label changes is found, 6 if it never does. An image's score is the standard deviation of these
numbers over the kinds. It needs predicted labels alone, and no clean examples.

What it cannot see. A trigger that survives every kind, such as a large bright square on small clear images, gives a
small spread, and ranks below clean images.

Where we differ. We have ten of the fifteen kinds (see ``corruptions``). The authors' code for BackdoorBench puts each
further corruption on top of all earlier ones, because it adds to one list of transforms; we corrupt the image itself
each time, as the paper does. Lengths such as the radius of a blur grow with the image. What is random is drawn once for
all images, so that the score of an image depends on no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from anchorlab.data import Modality
from anchorlab.data.inputs import kind_of
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors.base import InputDetector
from anchorlab.detectors.corruptions import KINDS, SEVERITIES, Drawn, corrupted, drawn_for
from anchorlab.errors import AnchorlabError
from anchorlab.models.call import predict
from anchorlab.models.device import in_double
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TeCo(InputDetector):
    """The spread over kinds of corruption of the least severity that changes the label."""

    cites: ClassVar[tuple[str, ...]] = ("liu2023teco", "hendrycks2019benchmarking")
    modality: ClassVar[Modality] = "image"
    min_examples: ClassVar[int] = 0

    def scores(
        self, model: nn.Module, data: DefenderData, inputs: Mapping[str, Tensor], context: DefenderContext
    ) -> NDArray[np.float64]:
        """See ``InputDetector``; a score is between 0 and 2.5."""
        del data
        if kind_of(inputs) != "image":
            raise AnchorlabError(f"teco corrupts images, but the inputs are {', '.join(inputs)}: take another detector")
        return spread(least_severities(model, inputs["pixel_values"], context)).cpu().numpy()


def spread(severities: Tensor) -> Tensor:
    """The standard deviation over kinds, divisor their number: ``[N, kinds]`` to float64 ``[N]``."""
    return in_double(severities).std(dim=1, correction=0)


def _corrupted(kind: str, severity: int, drawn: Drawn, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {"pixel_values": corrupted(batch["pixel_values"], kind, severity, drawn)}


def least_severities(model: nn.Module, images: Tensor, context: DefenderContext) -> Tensor:
    """The least severity of each kind that changes the predicted label, 6 for none, int64 ``[N, kinds]``.

    Args:
        model: a classifier of raw pixels.
        images: uint8 ``[N, C, H, W]``.
        context: seed, progress.
    """
    labels = predict(model, {"pixel_values": images}).argmax(1)
    least = torch.full((len(images), len(KINDS)), SEVERITIES + 1, dtype=torch.int64, device=images.device)
    for number, kind in enumerate(KINDS):
        for severity in range(SEVERITIES, 0, -1):
            drawn = drawn_for(images, context.generator("corruption", kind, severity))
            # Each batch is corrupted by itself, because the corrupted images take many times the memory of the images.
            answers = predict(model, {"pixel_values": images}, transform=partial(_corrupted, kind, severity, drawn))
            changed = answers.argmax(1) != labels
            least[:, number] = torch.where(changed, severity, least[:, number])
        context.report(number + 1, len(KINDS), {})
    return least
