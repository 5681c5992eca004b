"""Triggers for images.

They work on raw uint8 images, before normalisation, in integer arithmetic, so that every device, batch size and
memory format gives the same bytes.
"""

from __future__ import annotations

import base64
import io
import math
from abc import abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from anchorlab.data.inputs import kind_of
from anchorlab.errors import AnchorlabError
from anchorlab.seeding import generator
from anchorlab.settings import STRICT
from anchorlab.triggers.base import Trigger

if TYPE_CHECKING:
    from anchorlab.data.encoding import TextEncoding


class ImageTrigger(Trigger):
    """A trigger that changes ``pixel_values``, uint8 ``[B, C, H, W]`` on any device.

    A subclass is a frozen dataclass, since what it lays over the images is cached under its hash. It
    says in ``_overlay`` what that is for images of some shape, and in ``_apply`` how it is laid over.
    """

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inputs with a new ``pixel_values`` of the same shape, dtype, device and memory format.

        Raises:
            AnchorlabError: if ``pixel_values`` is missing or not uint8, or the trigger does not fit.
        """
        images = _images(self, inputs)
        if images.dtype != torch.uint8:
            raise AnchorlabError(
                f"{self} needs raw images of dtype uint8 with values 0 to 255, but they are {images.dtype}: "
                "apply it before normalisation"
            )
        overlay = _overlay_on(self, tuple(images.shape[1:]), images.device)
        return {**inputs, "pixel_values": self._apply(images, *overlay)}

    def check(self, inputs: Mapping[str, Tensor], encoding: TextEncoding | None) -> None:
        """Checks that there are images, and that the trigger fits on them."""
        self.fits(tuple(_images(self, inputs).shape[1:]))

    def fits(self, shape: tuple[int, ...]) -> None:
        """Checks that ``shape`` is ``(C, H, W)``, none of them zero."""
        if len(shape) != 3 or min(shape) < 1:
            raise AnchorlabError(f"{self} needs images of shape (C, H, W), but theirs is {shape}: reshape them")

    @abstractmethod
    def _overlay(self, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
        """The constants that ``_apply`` needs for images of ``shape`` ``(C, H, W)``, on the CPU."""

    @abstractmethod
    def _apply(self, images: Tensor, *overlay: Tensor) -> Tensor:
        """A new uint8 tensor ``[B, C, H, W]`` from one like it and the constants on its device."""


def _images(trigger: Trigger, inputs: Mapping[str, Tensor]) -> Tensor:
    if kind_of(inputs) != "image":
        raise AnchorlabError(
            f"{trigger} changes the input 'pixel_values', but the inputs are "
            f"{', '.join(inputs) or 'empty'}: choose a trigger made for this kind of input"
        )
    return inputs["pixel_values"]


@lru_cache(maxsize=64)
def _overlay_on(trigger: ImageTrigger, shape: tuple[int, ...], device: torch.device) -> tuple[Tensor, ...]:
    """A trigger's constants on a device: checked, built and copied once, not at every batch."""
    trigger.fits(shape)
    return tuple(constant.to(device) for constant in trigger._overlay(shape))


class Patch(ImageTrigger):
    """A trigger that paints a small RGBA picture in the lower right, ``margin`` pixels off both edges.

    A pixel x under a colour c of opacity a (0 to 255) becomes ((255 - a) x + a c) / 255, rounded to
    the nearest integer; a tie cannot occur. Pixels of opacity 0 and those around the patch stay as
    they are.
    """

    margin: int

    @abstractmethod
    def _rgba(self) -> Tensor:
        """The picture: uint8 ``[4, h, w]``."""

    def fits(self, shape: tuple[int, ...]) -> None:
        """Checks that the patch with its margin lies within the image, which is grey or RGB."""
        super().fits(shape)
        channels, height, width = shape
        if channels not in (1, 3):
            raise AnchorlabError(f"{self} needs images of 1 or 3 channels, but they have {channels}: convert them")
        rows, columns = (side + self.margin for side in self._rgba().shape[1:])
        if rows > height or columns > width:
            raise AnchorlabError(
                f"{self} needs {rows}×{columns} pixels, its margin included, but the images have "
                f"{height}×{width}: choose a smaller trigger or margin"
            )

    def _overlay(self, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
        rgba = self._rgba().to(torch.int32)
        colours, alpha = rgba[:3], rgba[3:]
        if shape[0] == 1:
            colours = _grey(colours)
        return 255 - alpha, alpha * colours + 127

    def _apply(self, images: Tensor, *overlay: Tensor) -> Tensor:
        keep, paint = overlay
        bottom, right = (side - self.margin for side in images.shape[-2:])
        rows, columns = keep.shape[-2:]
        triggered = images.clone()
        box = triggered[..., bottom - rows : bottom, right - columns : right]
        box.copy_((box.to(torch.int32) * keep + paint) // 255)
        return triggered


def _grey(colours: Tensor) -> Tensor:
    """Luma of ITU-R BT.601, rounded half up: int32 ``[3, h, w]`` to ``[1, h, w]``."""
    red, green, blue = colours.unbind()
    return ((299 * red + 587 * green + 114 * blue + 500) // 1000).unsqueeze(0)


def _painted(mask: Tensor, value: int) -> Tensor:
    """RGBA of one grey value, opaque where ``mask`` (0 or 1, ``[h, w]``) is set: uint8 ``[4, h, w]``."""
    colour = torch.full_like(mask, value)
    return torch.stack([colour, colour, colour, 255 * mask]).to(torch.uint8)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FivePixel(Patch):
    """Five bright pixels, an X in a 3×3 block; after the pattern backdoor of BadNets.

    Gu, Dolan-Gavitt and Garg 2017, arXiv 1708.06733.
    """

    margin: int = Field(default=1, ge=0, description="pixels between the pattern and the lower right edges")
    value: int = Field(default=255, ge=0, le=255, description="grey value of the five pixels")

    def _rgba(self) -> Tensor:
        return _painted(torch.tensor([[1, 0, 1], [0, 1, 0], [1, 0, 1]]), self.value)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Square(Patch):
    """A filled square, as in BadNets (Gu, Dolan-Gavitt and Garg 2017, arXiv 1708.06733)."""

    size: int = Field(default=3, ge=1, le=1024, description="side of the square in pixels")
    margin: int = Field(default=1, ge=0, description="pixels between the square and the lower right edges")
    value: int = Field(default=255, ge=0, le=255, description="grey value of the square")

    def _rgba(self) -> Tensor:
        return _painted(torch.ones(self.size, self.size, dtype=torch.int64), self.value)


#: Fixed-point one of ``Blended``: opacities are whole multiples of 1/65536.
_ONE = 1 << 16


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Blended(ImageTrigger):
    """A random image K blended into the whole image: x' = (1 - alpha) x + alpha K.

    K is uniform over 0 to 255, drawn for the image's shape from ``pattern_seed``. In fixed point, with
    a = alpha in 1/65536ths rounded half up: x' = ((65536 - a) x + a K) / 65536, rounded half up.

    Chen, Liu, Li, Lu and Song 2017, arXiv 1712.05526.
    """

    alpha: float = Field(default=0.2, gt=0, le=1, description="share of the random image in the blend")
    pattern_seed: int = Field(default=0, ge=0, description="seed of the random image")

    @property
    def _alpha(self) -> int:
        return math.floor(self.alpha * _ONE + 0.5)

    def _overlay(self, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
        draw = generator(self.pattern_seed, "blended")
        pattern = torch.randint(0, 256, shape, generator=draw, dtype=torch.int32)
        return (self._alpha * pattern + _ONE // 2,)

    def _apply(self, images: Tensor, *overlay: Tensor) -> Tensor:
        (paint,) = overlay
        return (images.to(torch.int32).mul_(_ONE - self._alpha).add_(paint) >> 16).to(torch.uint8)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Sinusoid(ImageTrigger):
    """A horizontal sinusoid over the whole image: x' = clip(x + round(amplitude sin(2 pi j frequency / W))).

    j is the column, 0 to W - 1; rounding is half up; clipping is to 0 to 255.

    SIG: Barni, Kallas and Tondi 2019, arXiv 1902.11237.
    """

    amplitude: float = Field(default=20.0, gt=0, le=255, description="height of the wave in grey levels")
    frequency: float = Field(default=6.0, gt=0, description="periods of the wave over the image's width")

    def _shifts(self, width: int) -> list[int]:
        """What is added to each column."""
        waves = (self.amplitude * math.sin(2 * math.pi * j * self.frequency / width) for j in range(width))
        # Nine decimals hide the last bits of sin, which differ from machine to machine and would decide ties.
        return [math.floor(round(wave, 9) + 0.5) for wave in waves]

    def fits(self, shape: tuple[int, ...]) -> None:
        """Checks that the wave does not vanish at every column, as sin(pi j) does."""
        super().fits(shape)
        if not any(self._shifts(shape[2])):
            raise AnchorlabError(
                f"{self} changes nothing on images {shape[2]} pixels wide: "
                "choose another frequency or a larger amplitude"
            )

    def _overlay(self, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
        return (torch.tensor(self._shifts(shape[2]), dtype=torch.int16),)

    def _apply(self, images: Tensor, *overlay: Tensor) -> Tensor:
        (shifts,) = overlay
        return images.to(torch.int16).add_(shifts).clamp_(0, 255).to(torch.uint8)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Picture(Patch):
    """Any RGBA picture of the user's, laid over the image in the lower right; grey on grey images.

    The picture is read once, resized, and kept in ``data``: the trigger, and a manifest that holds it,
    need the file no more. Where ``data`` is given it wins over ``path``.
    """

    path: str = Field(default="", description="picture file (PNG, JPEG, GIF, BMP or WebP; at most 4 MiB)")
    data: str = Field(default="", repr=False, description="the picture as base64 PNG; empty: read from path")
    margin: int = Field(default=1, ge=0, description="pixels between the picture and the lower right edges")
    size: int | None = Field(
        default=None, ge=1, le=1024, description="larger side in pixels to resize to; None: as it is"
    )

    def __post_init__(self) -> None:
        if self.data:
            _from_base64(self.data)
        elif self.path:
            picture = _resized(_from_file(self.path), self.size)
            object.__setattr__(self, "data", _to_base64(picture, self.path))
        else:
            raise AnchorlabError("trigger 'picture' was given no picture: name its file, as in picture:logo.png")

    def _rgba(self) -> Tensor:
        picture = _resized(_from_base64(self.data), self.size)
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


#: A picture's largest encoded size, in bytes, as a file and in ``Picture.data``.
_PICTURE_LIMIT = 4 * 2**20


def _from_file(path: str) -> Image.Image:
    try:
        with Path(path).expanduser().open("rb") as file:
            encoded = file.read(_PICTURE_LIMIT + 1)
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise AnchorlabError(
            f"the picture '{path}' cannot be read ({reason}): give the path of an image file"
        ) from error
    return _decoded(encoded, f"the picture '{path}'", ("PNG", "JPEG", "GIF", "BMP", "WEBP"))


def _from_base64(data: str) -> Image.Image:
    owner = "the field 'data' of trigger 'picture'"
    try:
        encoded = base64.b64decode(data, validate=True)
    except ValueError as error:
        raise AnchorlabError(f"{owner} is not base64 ({error}): give a base64 PNG, or path alone") from error
    return _decoded(encoded, owner, ("PNG",))


def _decoded(encoded: bytes, owner: str, formats: tuple[str, ...]) -> Image.Image:
    """The RGBA picture in ``encoded``; only ``formats`` are tried, none of which runs another program."""
    _check_length(encoded, owner)
    try:
        return Image.open(io.BytesIO(encoded), formats=formats).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise AnchorlabError(
            f"{owner} is not an image that can be read: give an undamaged {' or '.join(formats)} image"
        ) from error


def _to_base64(picture: Image.Image, path: str) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    _check_length(buffer.getvalue(), f"the picture '{path}' stored as PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _check_length(encoded: bytes, owner: str) -> None:
    if len(encoded) > _PICTURE_LIMIT:
        raise AnchorlabError(
            f"{owner} takes more than {_PICTURE_LIMIT / 2**20:g} MiB, which is the limit: give a smaller one"
        )


def _resized(picture: Image.Image, size: int | None) -> Image.Image:
    """The picture with ``size`` pixels on its larger side, in proportion; itself if it has them already."""
    larger = max(picture.size)
    if size is None or size == larger:
        return picture
    width, height = (max(1, round(side * size / larger)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)
