"""One encoded picture: opened by its content, checked, and brought to 8 bits; and pictures as PNG files.

Every picture that comes from outside is opened here, as PNG, JPEG, BMP, GIF, WebP or TIFF and nothing else, because
other decoders of PIL start programs (EPS starts Ghostscript). What the file is called does not count.
"""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from anchorlab.errors import AnchorlabError, reason

#: The formats that are opened, as PIL names them.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")

#: Most pixels of one picture; below the number from which PIL warns.
MOST_PIXELS = 2**26

#: What was done to a picture of more than 8 bits a channel.
SCALED = "had more than 8 bits a channel: scaled to 8 bits, so that the largest value of the format becomes 255"

#: Modes of PIL without colour; the ones that begin with ``I`` have 12, 16 or 32 bits.
_GREY = {"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"}
_WITH_ALPHA = {"La": "LA", "LA": "LA", "PA": "RGBA", "RGBa": "RGBA", "RGBA": "RGBA"}

#: What a PNG file holds somewhere if it says how the picture is turned.
_TURNED = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")


@dataclass(frozen=True)
class OpenedPicture:
    """A picture whose header has been read and found good, but whose pixels have not been decoded.

    Attributes:
        image: PIL's image.
        name: what the picture is, as the subject of a message.
        size: height and width in pixels, as a viewer shows the picture.
        grey: whether it has no colour.
        changes: what is done to it when it is decoded, each as the rest of a sentence, ``had 1 bit a pixel: …``;
            ``decoded`` appends to it.
    """

    image: Image.Image
    name: str
    size: tuple[int, int]
    grey: bool
    changes: list[str] = field(default_factory=list)

    def decoded(self) -> Image.Image:
        """The pixels with 8 bits a channel, turned as EXIF says: a PIL image of the mode L, LA, RGB or RGBA.

        Raises:
            AnchorlabError: naming the picture, if it is damaged.
        """
        with _named_errors(self.name), _warnings_noted(self.changes), _silent(self.image.format == "TIFF"):
            raw = _raw_mode(self.image)
            turned = ImageOps.exif_transpose(self.image)
            return _eight_bits(turned, raw, _full_range(self.image), self.changes)

    def over_white(self) -> Image.Image:
        """The decoded picture without transparency.

        Each value c under the opacity a becomes (a c + (255 - a) 255) / 255, rounded to the nearest integer.

        Returns:
            A PIL image of the mode L or RGB.

        Raises:
            AnchorlabError: naming the picture, if it is damaged, or if nothing of it is left over white.
        """
        picture = self.decoded()
        if picture.mode in ("L", "RGB"):
            return picture
        alpha = picture.getchannel("A")
        opaque = alpha.getextrema()[0] == 255
        self.changes.append("had an opaque alpha channel: left out" if opaque else "had transparency: laid over white")
        white = Image.new("RGBA", picture.size, "white")
        flat = Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
        if _uniform(flat) and not _uniform(picture):
            raise AnchorlabError(
                f"{self.name} is transparent, and nothing of it is left over white: lay it over another colour first, "
                "or remove it"
            )
        return flat.getchannel(0) if self.grey else flat


def open_picture(content: bytes, name: str) -> OpenedPicture:
    """Reads a picture's header.

    Args:
        content: the encoded picture.
        name: what it is, as the subject of a message, for example ``the image 'cats/1.png'``.

    Raises:
        AnchorlabError: naming the picture, if it has another format, more than one frame, more than 2^26 pixels, or
            channels or a depth that no rule brings to 8-bit grey or RGB.
    """
    if not content:
        raise AnchorlabError(f"{name} is empty (0 bytes), expected a picture: replace or remove it")
    changes: list[str] = []
    with _named_errors(name), _warnings_noted(changes):
        image = _opened(content, FORMATS)
        height, width = image.height, image.width
        _check_pixels(image, name)
        if image.format == "MPO":
            changes.append("had further frames beside the photo (MPO): left out")
        elif getattr(image, "is_animated", False):
            raise AnchorlabError(
                f"{name} has several frames or pages, expected one: save the one that you mean as a file of its own"
            )
        _check_channels(image, name)
        _check_padding(image, content, name)
        turn = _orientation(image, content)
        if turn != 1:
            changes.append("had an EXIF orientation: turned as it says")
        if turn >= 5 and image.format != "TIFF":  # PIL has turned the size of a TIFF already
            height, width = width, height
        return OpenedPicture(image, name, (height, width), image.mode in _GREY, changes)


def to_png(picture: Tensor) -> bytes:
    """A picture, uint8 ``[C, H, W]``, as a PNG file; C is 3 for colour, anything else is averaged to grey."""
    pixels = picture.permute(1, 2, 0) if len(picture) == 3 else picture.float().mean(dim=0)
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels).astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def from_png(content: bytes) -> Tensor:
    """The picture in a PNG file that ``to_png`` made, uint8 ``[C, H, W]``, with one channel for grey."""
    pixels = torch.from_numpy(np.array(Image.open(io.BytesIO(content), formats=["PNG"])))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def _opened(content: bytes, formats: tuple[str, ...]) -> Image.Image:
    """PIL's image before any pixel is decoded, of any size, because ``_check_pixels`` refuses it with more words."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    logger = logging.getLogger("PIL.TiffImagePlugin")  # it prints what the refusal says
    disabled, logger.disabled = logger.disabled, True
    try:
        return Image.open(io.BytesIO(content), formats=formats)
    except UnidentifiedImageError as error:
        tiff = content[:2] in (b"II", b"MM")
        found = "a TIFF of a kind" if tiff else "not a PNG, JPEG, BMP, GIF, WebP or TIFF picture"
        raise _UnreadableError(f"is {found} that can{'not' if tiff else ''} be read") from error
    finally:
        Image.MAX_IMAGE_PIXELS, logger.disabled = limit, disabled


class _UnreadableError(Exception):
    """What ``_named_errors`` makes a refusal of; the text is the rest of a sentence."""


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    """PIL's errors, which have many types, as refusals that name the picture."""
    try:
        yield
    except AnchorlabError:
        raise
    except _UnreadableError as error:
        mend = "save it as 8-bit grey or RGB in one of these formats, or remove it"
        raise AnchorlabError(f"{name} {error}: {mend}") from error.__cause__
    except Exception as error:
        raise AnchorlabError(f"{name} cannot be decoded ({reason(error)}): repair or remove it") from error


@contextmanager
def _warnings_noted(changes: list[str]) -> Iterator[None]:
    """PIL's warnings become one change: they speak of metadata, while damaged pixels are errors."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    phrase = "had damaged metadata: left unread"
    if any(issubclass(warning.category, UserWarning) for warning in caught) and phrase not in changes:
        changes.append(phrase)


@contextmanager
def _silent(wanted: bool) -> Iterator[None]:
    """Keeps what the TIFF library itself writes off the terminal, because the refusal says it."""
    try:
        kept = os.dup(2) if wanted else None
    except OSError:  # there is no standard error
        kept = None
    if kept is None:
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _check_pixels(image: Image.Image, name: str) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise AnchorlabError(
            f"{name} is {image.height}×{image.width} pixels, more than the {MOST_PIXELS / 1e6:.0f} million that one "
            "picture may have: shrink or remove it"
        )


def _check_channels(image: Image.Image, name: str) -> None:
    """Refuses what PIL would read in part, or what has no known range."""
    tags = getattr(image, "tag_v2", {})
    samples = tags.get(_SAMPLES_PER_PIXEL, len(image.getbands()))
    if samples != len(image.getbands()):
        raise AnchorlabError(
            f"{name} has {samples} channels, of which {len(image.getbands())} would be read (mode {image.mode}): "
            "choose one or three of them and save these as 8-bit grey or RGB"
        )
    ranged = image.mode != "F" and (image.mode != "I" or image.format == "PNG")
    if not ranged or set(tags.get(_SAMPLE_FORMAT, (1,))) - {1, 4}:  # 1 is unsigned, 4 undefined
        raise AnchorlabError(
            f"{name} has 32-bit, signed or fractional pixels (mode {image.mode}), and nothing says which of their "
            "values is white: scale them to 8 bits first"
        )
    if _raw_mode(image).startswith("I;16") and tags.get(_PHOTOMETRIC) == 0:
        raise AnchorlabError(f"{name} has 16 bits of which 0 is white: save it with 0 as black, or with 8 bits")
    if _raw_mode(image) not in ("1", "L", "RGB") and image.mode != "P" and "transparency" in image.info:
        raise AnchorlabError(
            f"{name} has a transparent colour and not 8 bits a channel ({_raw_mode(image)}): save it with 8 bits"
        )


def _check_padding(image: Image.Image, content: bytes, name: str) -> None:
    """Refuses a BMP whose fourth byte, which PIL leaves out, varies, because some programs keep opacity there."""
    spare = {"BGRX": 3, "BGXR": 2, "XBGR": 0}.get(_raw_mode(image))
    if image.format == "BMP" and spare is not None:
        start = int(getattr(image, "tile", [])[0][2]) + spare
        if len(set(content[start : start + 4 * image.width * image.height : 4])) > 1:
            raise AnchorlabError(
                f"{name} has a fourth channel, which BMP does not define: save it as PNG with or without transparency"
            )


_SAMPLES_PER_PIXEL, _SAMPLE_FORMAT, _PHOTOMETRIC, _BITS = 277, 339, 262, 258


def _raw_mode(image: Image.Image) -> str:
    """How the pixels lie in the file, for example ``RGB;16B``; PIL forgets it once they are decoded."""
    tiles = getattr(image, "tile", [])
    arguments = tiles[0][3] if tiles else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _full_range(image: Image.Image) -> int:
    """The largest value of a grey picture of more than 8 bits."""
    bits = getattr(image, "tag_v2", {}).get(_BITS, (16,))[0]
    return 2 ** int(bits) - 1 if bits in (12, 16) else 2**16 - 1


def _orientation(image: Image.Image, content: bytes) -> int:
    """EXIF's orientation, 1 to 8; 1 is upright."""
    if image.format == "PNG" and not any(mark in content for mark in _TURNED):
        return 1  # PIL would decode the whole picture to look behind it
    turn = image.getexif().get(ExifTags.Base.Orientation, 1)
    return turn if turn in range(1, 9) else 1


def _eight_bits(image: Image.Image, raw: str, full_range: int, changes: list[str]) -> Image.Image:
    """A decoded picture in the mode L, LA, RGB or RGBA; what was done to it is appended to ``changes``."""
    if image.mode.startswith("I") or ";16" in raw:
        changes.append(SCALED)
    if image.mode.startswith("I"):  # of the others PIL has read the upper byte
        values = np.asarray(image).astype(np.int64)
        return Image.fromarray(((values * 255 + full_range // 2) // full_range).astype(np.uint8))
    if image.mode == "1":
        changes.append("had 1 bit a pixel: black read as 0, white as 255")
    elif raw.startswith(("L;2", "L;4")):
        changes.append(f"had {raw[2]} bits a pixel: scaled to 8 bits")
    elif image.mode in ("P", "PA"):
        changes.append("had a palette: its colours read")
    elif image.mode not in ("L", "RGB", *_WITH_ALPHA):
        changes.append(f"had the mode {image.mode}: converted to RGB")
    if image.has_transparency_data:
        return image.convert(_WITH_ALPHA.get(image.mode, "LA" if image.mode in _GREY else "RGBA"))
    return image.convert("L" if image.mode in _GREY else "RGB")


def _uniform(image: Image.Image) -> bool:
    """Whether all pixels are equal."""
    extrema = image.getextrema()
    bands = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return all(low == high for low, high in bands)
