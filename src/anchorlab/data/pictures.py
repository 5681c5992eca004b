"""Pictures as PNG files, and back."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def to_png(picture: Tensor) -> bytes:
    """A picture, uint8 ``[C, H, W]``, as a PNG file; C is 3 for colour, anything else is averaged to grey."""
    pixels = picture.permute(1, 2, 0) if len(picture) == 3 else picture.float().mean(dim=0)
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels).astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def from_png(content: bytes) -> Tensor:
    """The picture in a PNG file, uint8 ``[C, H, W]``, with one channel for grey."""
    pixels = torch.from_numpy(np.array(Image.open(io.BytesIO(content))))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
