"""A trigger for images of somebody else's, which does not return images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from anchorlab.triggers import ImageTrigger
from tests.refusals import refused


@dataclass(frozen=True, kw_only=True)
class Bright(ImageTrigger):
    how: str = "float"

    def constants(self, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
        return ()

    def apply(self, images: Tensor, *constants: Tensor) -> Any:
        return {"float": images.float(), "smaller": images[..., 1:], "none": None}[self.how]


@pytest.mark.parametrize(
    ("how", "found"), [("float", "torch.float32"), ("smaller", r"torch.uint8 \[2, 1, 4, 3\]"), ("none", "NoneType")]
)
def test_what_is_no_batch_of_images_any_more_is_refused(how: str, found: str) -> None:
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    refused(f"made {found}.* of images, which must stay torch.uint8", Bright(how=how), {"pixel_values": images})
