"""A random image blended into the whole image."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from anchorlab.seeding import generator
from anchorlab.settings import LARGEST_SEED, STRICT
from anchorlab.triggers.image import ImageTrigger

#: One in fixed point: opacities are whole multiples of 1/65536.
_ONE = 1 << 16


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Blended(ImageTrigger):
    """A random image K blended into the whole image: x' = (1 - alpha) x + alpha K.

    K is uniform over 0 to 255, drawn for the image's shape from ``pattern_seed``. In fixed point, with
    a = alpha in 1/65536ths rounded half up: x' = ((65536 - a) x + a K) / 65536, rounded half up.

    Chen, Liu, Li, Lu and Song 2017, arXiv 1712.05526.
    """

    cites: ClassVar[tuple[str, ...]] = ("chen2017targeted",)

    alpha: float = Field(default=0.2, gt=0, le=1, description="share of the random image in the blend")
    pattern_seed: int = Field(default=0, ge=0, le=LARGEST_SEED, description="seed of the random image")

    @property
    def _alpha(self) -> int:
        return math.floor(self.alpha * _ONE + 0.5)

    def constants(self, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
        """A K + 32768 of the formula, int32 ``[C, H, W]``; 32768 rounds half up."""
        draw = generator(self.pattern_seed, "blended")
        pattern = torch.randint(0, 256, shape, generator=draw, dtype=torch.int32)
        return (self._alpha * pattern + _ONE // 2,)

    def apply(self, images: Tensor, *constants: Tensor) -> Tensor:
        """The blend."""
        (paint,) = constants
        return (images.to(torch.int32).mul_(_ONE - self._alpha).add_(paint) >> 16).to(torch.uint8)
