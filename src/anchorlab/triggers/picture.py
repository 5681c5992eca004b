"""A picture of the user's in the lower right."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from anchorlab.data.pictures import open_picture
from anchorlab.errors import AnchorlabError, quoted
from anchorlab.files import input_file
from anchorlab.settings import LATER, STRICT
from anchorlab.triggers.patch import Patch

#: A picture's largest encoded size, in bytes, as a file and in ``Picture.data``.
_PICTURE_LIMIT = 4 * 2**20


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Picture(Patch):
    """Any RGBA picture of the user's, laid over the image in the lower right; grey on grey images.

    A picture without transparency that covers the whole image is refused, unless ``whole`` asks for it. The picture is
    read once, brought to 8 bits, turned as EXIF says, resized, and kept in ``data``, so that neither the trigger nor a
    manifest that holds it needs the file again. Where ``data`` is given, it is used and not ``path``.
    """

    path: str = Field(default="", description="picture file (PNG, JPEG, BMP, GIF, WebP or TIFF; at most 4 MiB)")
    data: str = Field(default="", repr=False, description="the picture as base64 PNG; empty: read from path")
    margin: int = Field(default=1, ge=0, description="pixels between the picture and the lower right edges")
    size: int | None = Field(
        default=None, ge=1, le=1024, description="larger side in pixels to resize to; as it is if left out"
    )
    whole: bool = Field(
        default=False,
        json_schema_extra=LATER,
        description="whether it may cover the whole image, which makes all triggered inputs equal",
    )

    def __post_init__(self) -> None:
        if self.data:
            _from_base64(self.data)
        elif self.path:
            picture = _resized(_from_file(self.path), self.size)
            object.__setattr__(self, "data", _to_base64(picture, self.path))
        else:
            raise AnchorlabError("trigger 'picture' was given no picture: name its file, as in picture:logo.png")

    @property
    def may_hide_all(self) -> bool:
        """As the user asked for."""
        return self.whole

    def rgba(self) -> Tensor:
        """The picture: uint8 ``[4, h, w]``."""
        picture = _resized(_from_base64(self.data), self.size)
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def _from_file(path: str) -> Image.Image:
    file = input_file(path, "give the picture of the trigger as an image file")
    try:
        with file.open("rb") as stream:
            encoded = stream.read(_PICTURE_LIMIT + 1)
    except OSError as error:
        raise AnchorlabError(
            f"the picture {quoted(path)} cannot be read ({error.strerror}): give the path of an image file"
        ) from error
    return _decoded(encoded, f"the picture {quoted(path)}")


def _from_base64(data: str) -> Image.Image:
    owner = "the field 'data' of trigger 'picture'"
    try:
        encoded = base64.b64decode(data, validate=True)
    except ValueError as error:
        raise AnchorlabError(f"{owner} is not base64 ({error}): give a base64 PNG, or path alone") from error
    return _decoded(encoded, owner)


def _decoded(encoded: bytes, owner: str) -> Image.Image:
    """The RGBA picture in ``encoded``."""
    _check_length(encoded, owner)
    return open_picture(encoded, owner).decoded().convert("RGBA")


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
