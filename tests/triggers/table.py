"""What many tests of triggers share: the triggers for images, images to try them on, and text triggers applied."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from anchorlab.data.encoding import TextEncoding
from anchorlab.seeding import generator
from anchorlab.triggers import Blended, FivePixel, Picture, Sinusoid, Square, Trigger


def png(rgba: np.ndarray) -> str:
    """An array [h, w, 4] as base64 PNG."""
    buffer = io.BytesIO()
    Image.fromarray(rgba.astype(np.uint8)).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def random_rgba(height: int, width: int, seed: int = 0) -> np.ndarray:
    rgba = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    rgba[0, 0, 3], rgba[-1, -1, 3] = 0, 255
    return rgba


OPAQUE = random_rgba(3, 2, seed=1)
OPAQUE[..., 3] = 255


EVERY = {
    "five-pixel": FivePixel(),
    "square": Square(size=4, margin=0),
    "blended": Blended(alpha=0.2, pattern_seed=3),
    "sinusoid": Sinusoid(frequency=2.0),
    "picture": Picture(data=png(random_rgba(3, 4))),
}


def images_of(batch: int, channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Random images that hold both extremes."""
    images = torch.randint(
        0, 256, (batch, channels, height, width), generator=generator(seed, "images"), dtype=torch.uint8
    )
    images[0, :, 0, 0], images[0, :, -1, -1] = 0, 255
    return images


def triggered(trigger: Trigger, images: Tensor) -> Tensor:
    return trigger({"pixel_values": images})["pixel_values"]


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def applied(trigger: Trigger, made: TextEncoding, texts: Sequence[str]) -> list[list[int]]:
    """Ids of triggered texts without their padding, a list each."""
    inputs = trigger.bind(made)(made.encode(texts))
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape
    return [ids[mask].tolist() for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)]
