"""A filled square in the lower right."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from anchorlab.settings import STRICT
from anchorlab.triggers.patch import Patch, painted


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Square(Patch):
    """A filled square, as in BadNets (Gu, Dolan-Gavitt and Garg 2017, arXiv 1708.06733)."""

    cites: ClassVar[tuple[str, ...]] = ("gu2017badnets",)

    size: int = Field(default=3, ge=1, le=1024, description="side of the square in pixels")
    margin: int = Field(default=1, ge=0, description="pixels between the square and the lower right edges")
    value: int = Field(default=255, ge=0, le=255, description="grey value of the square")

    def rgba(self) -> Tensor:
        """The square: uint8 ``[4, size, size]``."""
        return painted(torch.ones(self.size, self.size, dtype=torch.int64), self.value)
