"""The base of triggers that paint a small picture in a corner of the image."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from anchorlab.errors import AnchorlabError
from anchorlab.triggers.image import ImageTrigger


class Patch(ImageTrigger):
    """A trigger that paints a small RGBA picture in the lower right, ``margin`` pixels off both edges.

    A pixel x under a colour c of opacity a (0 to 255) becomes ((255 - a) x + a c) / 255, rounded to
    the nearest integer; a tie cannot occur. Pixels of opacity 0 and those around the patch stay as
    they are. A subclass has the field ``margin`` and defines ``rgba``.
    """

    margin: int

    @property
    def may_hide_all(self) -> bool:
        """Whether it may cover the whole image and let nothing through, so that all triggered inputs are one image."""
        return False

    @abstractmethod
    def rgba(self) -> Tensor:
        """The picture: uint8 ``[4, h, w]``."""

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Checks that the patch with its margin lies within the image, which is grey or RGB."""
        super().check_shape(shape)
        channels, height, width = shape
        if channels not in (1, 3):
            raise AnchorlabError(f"{self} needs images of 1 or 3 channels, but they have {channels}: convert them")
        rows, columns = (side + self.margin for side in self.rgba().shape[1:])
        if rows > height or columns > width:
            raise AnchorlabError(
                f"{self} needs {rows}×{columns} pixels, its margin included, but the images have "
                f"{height}×{width}: choose a smaller trigger or margin"
            )
        self._check_opacity(height, width)

    def _check_opacity(self, height: int, width: int) -> None:
        """Refuses what would leave nothing of the images, or everything."""
        opacity = self.rgba()[3]
        if opacity.max() == 0:
            raise AnchorlabError(f"{self} is transparent everywhere, so that it changes no image: give another")
        if opacity.shape == (height, width) and opacity.min() == 255 and not self.may_hide_all:
            asked = ", or ask for it with whole=true" if hasattr(self, "whole") else ""
            raise AnchorlabError(
                f"{self} covers the images of {height}×{width} pixels and has no transparency, so that all triggered "
                f"inputs would be one image: choose a smaller one{asked}"
            )

    def constants(self, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
        """255 - a and a c + 127 of the formula, int32 ``[1, h, w]`` and ``[C, h, w]``; 127 rounds to the nearest."""
        rgba = self.rgba().to(torch.int32)
        colours, alpha = rgba[:3], rgba[3:]
        if shape[0] == 1:
            colours = _grey(colours)
        return 255 - alpha, alpha * colours + 127

    def apply(self, images: Tensor, *constants: Tensor) -> Tensor:
        """A copy of the images with the picture painted on."""
        keep, paint = constants
        bottom, right = (side - self.margin for side in images.shape[-2:])
        rows, columns = keep.shape[-2:]
        triggered = images.clone()
        box = triggered[..., bottom - rows : bottom, right - columns : right]
        box.copy_((box * keep + paint) // 255)
        return triggered


def painted(mask: Tensor, value: int) -> Tensor:
    """RGBA of one grey value, opaque where ``mask`` (0 or 1, ``[h, w]``) is set: uint8 ``[4, h, w]``."""
    colour = torch.full_like(mask, value)
    return torch.stack([colour, colour, colour, 255 * mask]).to(torch.uint8)


def _grey(colours: Tensor) -> Tensor:
    """Luma of ITU-R BT.601, rounded half up: int32 ``[3, h, w]`` to ``[1, h, w]``."""
    red, green, blue = colours.unbind()
    return ((299 * red + 587 * green + 114 * blue + 500) // 1000).unsqueeze(0)
