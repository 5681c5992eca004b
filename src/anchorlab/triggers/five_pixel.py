"""Five bright pixels in the lower right."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from anchorlab.settings import STRICT
from anchorlab.triggers.patch import Patch, painted


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FivePixel(Patch):
    """Five bright pixels, an X in a 3×3 block; after the pattern backdoor of BadNets.

    Gu, Dolan-Gavitt and Garg 2017, arXiv 1708.06733.
    """

    cites: ClassVar[tuple[str, ...]] = ("gu2017badnets",)

    margin: int = Field(default=1, ge=0, description="pixels between the pattern and the lower right edges")
    value: int = Field(default=255, ge=0, le=255, description="grey value of the five pixels")

    def rgba(self) -> Tensor:
        """The X: uint8 ``[4, 3, 3]``."""
        return painted(torch.tensor([[1, 0, 1], [0, 1, 0], [1, 0, 1]]), self.value)
