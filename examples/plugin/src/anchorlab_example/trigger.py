"""A trigger: a map on inputs."""

from __future__ import annotations

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from anchorlab import AnchorlabError
from anchorlab.triggers import ImageTrigger


@dataclass(frozen=True, kw_only=True)
class Stripe(ImageTrigger):
    """A bright row of pixels."""

    row: int = Field(default=0, ge=0, description="the row, from the top")
    value: int = Field(default=255, ge=0, le=255, description="its grey value")

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuses images without such a row."""
        super().check_shape(shape)
        if self.row >= shape[1]:
            raise AnchorlabError(f"{self} needs {self.row + 1} rows, but the images have {shape[1]}: give another row")

    def constants(self, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
        """What ``apply`` needs for images of shape ``(C, H, W)``, built once and kept on the device."""
        stripe = torch.zeros(shape, dtype=torch.bool)
        stripe[:, self.row] = True
        return (stripe,)

    def apply(self, images: Tensor, *constants: Tensor) -> Tensor:
        """New images; those that came in, uint8 ``[B, C, H, W]``, stay as they are."""
        return images.masked_fill(constants[0], self.value)
