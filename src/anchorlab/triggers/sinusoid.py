"""A wave of brightness over the whole image."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from anchorlab.errors import AnchorlabError
from anchorlab.settings import STRICT
from anchorlab.triggers.image import ImageTrigger


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Sinusoid(ImageTrigger):
    """A horizontal sinusoid over the whole image: x' = clip(x + round(amplitude sin(2 pi j frequency / W))).

    j is the column, 0 to W - 1; rounding is half up; clipping is to 0 to 255.

    SIG: Barni, Kallas and Tondi 2019, arXiv 1902.11237.
    """

    cites: ClassVar[tuple[str, ...]] = ("barni2019new",)

    amplitude: float = Field(default=20.0, gt=0, le=255, description="height of the wave in grey levels")
    frequency: float = Field(default=6.0, gt=0, description="periods of the wave over the image's width")

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Checks that the wave does not vanish at every column, as sin(pi j) does."""
        super().check_shape(shape)
        if not any(self._shifts(shape[2])):
            raise AnchorlabError(
                f"{self} changes nothing on images {shape[2]} pixels wide: "
                "choose another frequency or a larger amplitude"
            )

    def constants(self, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
        """What is added to each column, int16 ``[W]``."""
        return (torch.tensor(self._shifts(shape[2]), dtype=torch.int16),)

    def apply(self, images: Tensor, *constants: Tensor) -> Tensor:
        """The images with the wave added, clipped."""
        (shifts,) = constants
        return images.to(torch.int16).add_(shifts).clamp_(0, 255).to(torch.uint8)

    def _shifts(self, width: int) -> list[int]:
        waves = (self.amplitude * math.sin(2 * math.pi * j * self.frequency / width) for j in range(width))
        # Nine decimals hide the last bits of sin, which differ from machine to machine and would decide ties.
        return [math.floor(round(wave, 9) + 0.5) for wave in waves]
