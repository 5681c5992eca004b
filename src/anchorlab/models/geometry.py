"""How images are resized and cropped before a network sees them, as differentiable operations like Pillow's."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

#: Pillow's numbers of the filters that torch has too, and their names there.
FILTERS = {0: "nearest-exact", 2: "bilinear", 3: "bicubic"}

#: Pillow rounds halves up; a little more, because single precision falls short of some halves.
_HALF = 0.501


@dataclass(frozen=True)
class Geometry:
    """Resizing, then a crop of the centre.

    Attributes:
        size: height and width to resize to; None for another rule or none.
        shortest: length of the shorter edge to resize to, in the same proportions; None for another rule or none.
        longest: with ``shortest``, most pixels of the longer edge.
        filter: a name of ``FILTERS``.
        crop: height and width of the centre to cut out, with black beyond the image; None for all.
        whole: whether resized pixels are whole 255ths, as Pillow makes them.
    """

    size: tuple[int, int] | None = None
    shortest: int | None = None
    longest: int | None = None
    filter: str = "bilinear"
    crop: tuple[int, int] | None = None
    whole: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        """Images, float ``[B, C, H, W]`` from 0 to 1, resized and cropped."""
        height, width = images.shape[-2:]
        wanted = self.resized(height, width)
        if wanted != (height, width):
            images = self._resize(images, wanted)
        return images if self.crop is None else _centre(images, self.crop)

    @property
    def is_set(self) -> bool:
        """Whether images of any size are brought to a rule of the network's own."""
        return any(rule is not None for rule in (self.size, self.shortest, self.crop))

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of an image after resizing."""
        if self.size is not None:
            return self.size
        if self.shortest is None:
            return height, width
        short, long = min(height, width), max(height, width)
        exact: float = self.shortest
        if self.longest is not None and long / short * exact > self.longest:
            exact = self.longest * short / long
        if round(exact) == short:  # then transformers leaves the image as it is, however long
            return height, width
        edge, other = round(exact), int(exact * long / short)
        return (edge, other) if height <= width else (other, edge)

    def _resize(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        if self.filter == "nearest-exact":
            return functional.interpolate(images, size, mode=self.filter)
        if not self.whole and self.filter == "bilinear":
            return functional.interpolate(images, size, mode=self.filter, antialias=True)
        # Bicubic overshoots, and Pillow cuts off what lies outside 0 to 255 after each of its two passes, and rounds.
        # It mostly begins with the rows, as here; some versions begin with the columns of tall images that shrink.
        for part in ((images.shape[-2], size[1]), size):
            images = functional.interpolate(images, part, mode=self.filter, antialias=True).clamp(0, 1)
            if self.whole:
                images = images + ((255 * images + _HALF).floor() / 255 - images).detach()  # with the gradient of none
        return images


def _centre(images: Tensor, crop: tuple[int, int]) -> Tensor:
    """The centre of images, as transformers cuts it out."""
    (height, width), (tall, wide) = images.shape[-2:], crop
    if tall > height or wide > width:
        new_height, new_width = max(tall, height), max(wide, width)
        above, left = -((height - new_height) // 2), -((width - new_width) // 2)
        images = functional.pad(images, (left, new_width - width - left, above, new_height - height - above))
        height, width = new_height, new_width
    top, left = (height - tall) // 2, (width - wide) // 2
    return images[..., top : top + tall, left : left + wide]
