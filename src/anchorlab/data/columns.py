"""Columns of data: which ones the user names, and how ``datasets.Dataset`` becomes a split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from anchorlab.data.labels import class_indices, class_names
from anchorlab.data.sources import listed
from anchorlab.data.split import Split
from anchorlab.errors import AnchorlabError, reason
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataColumns:
    """The columns of the user's own data: labels, and either texts or images."""

    text: str | None = Field(default=None, description="the column of texts")
    image: str | None = Field(default=None, description="the column of images")
    label: str = Field(default="label", description="the column of labels")
    max_length: int | None = Field(default=None, ge=3, description="most tokens of a text; None: the model's limit")

    def __post_init__(self) -> None:
        if (self.text is None) == (self.image is None):
            raise AnchorlabError(
                "own data need to say what they are: give --text-column or --image-column, one of them"
            )


def find_column(part: Any, name: str, where: str) -> str:
    """The name itself; raises AnchorlabError naming the columns that are there if it is none of them."""
    if name not in part.column_names:
        raise AnchorlabError(f"{where} has no column '{name}': it has {listed(part.column_names)}, so name one of them")
    return name


def classes_of(part: Any, column: str, where: str) -> tuple[str, ...]:
    """The names of a part's classes: from the data if they have names, otherwise from the labels."""
    from datasets import ClassLabel

    feature = part.features[find_column(part, column, where)]
    return tuple(feature.names) if isinstance(feature, ClassLabel) else class_names(part[column][:], where)


def read_texts(
    part: Any, text_column: str, label_column: str, where: str, classes: Sequence[str], *, numbered: bool = False
) -> Split:
    """A part of texts, without inputs yet; labels as ``read_labels`` reads them.

    Raises:
        AnchorlabError: for a missing column, or a text or label that is missing or empty.
    """
    column = part[find_column(part, text_column, where)][:]
    for row, text in enumerate(column):
        if not isinstance(text, str) or not text.strip():
            content = "no text" if text is None or text == "" or text != text else f"{text!r}"
            raise AnchorlabError(
                f"{where}, row {row} holds {content} in the column '{text_column}', expected words: correct it"
            )
    return Split({}, read_labels(part, label_column, where, classes, numbered=numbered), tuple(column))


def read_labels(part: Any, column: str, where: str, classes: Sequence[str], *, numbered: bool = False) -> Tensor:
    """The labels of a part, int64 ``[N]``.

    Args:
        part: the data.
        column: of the labels.
        where: what holds them, for messages.
        classes: names of the classes.
        numbered: True if numbers count the classes from 0; False if they are names of classes, like any text.
    """
    from datasets import ClassLabel

    counts = numbered or isinstance(part.features[find_column(part, column, where)], ClassLabel)
    values = part[column][:]
    if counts and not any(isinstance(value, str) for value in values):
        return class_indices(values, [str(number) for number in range(len(classes))], where)
    return class_indices(values, classes, where)


def read_images(part: Any, image_column: str, label_column: str, where: str, classes: Sequence[str]) -> Split:
    """A part of images of one size, uint8 ``[N, C, H, W]``: grey if all are grey, otherwise in colour.

    Raises:
        AnchorlabError: for a missing column, an image that is missing or cannot be decoded, or images of several sizes.
    """
    images = _decoded(part, image_column, where)
    _check_sizes(images, where)
    grey = all(image.ndim == 2 for image in images)
    stacked = np.stack([image if grey or image.ndim == 3 else np.repeat(image[..., None], 3, 2) for image in images])
    pixels = torch.from_numpy(stacked)
    pixels = pixels.unsqueeze(1) if grey else pixels.permute(0, 3, 1, 2).contiguous()
    return Split({"pixel_values": pixels}, read_labels(part, label_column, where, classes))


def _decoded(part: Any, column: str, where: str) -> list[Any]:
    """Each image as ``_pixels`` reads it, or None where it is missing."""
    from datasets import Image

    rows = part.cast_column(find_column(part, column, where), Image())
    images: list[Any] = []
    try:
        for batch in rows.select_columns([column]).iter(batch_size=256):
            images += [None if picture is None else _pixels(picture) for picture in batch[column]]
    except Exception as error:  # PIL reports damage by several types
        raise AnchorlabError(
            f"{where} holds an image that cannot be decoded, after row {len(images) - 1} ({reason(error)}): repair or "
            "remove it"
        ) from error
    return images


def _check_sizes(images: Sequence[Any], where: str) -> None:
    """Raises AnchorlabError for the first image that is missing or has another size than the first one."""
    first = images[0]
    for row, image in enumerate(images):
        if image is None or image.shape[:2] != first.shape[:2]:
            size = "missing" if image is None else "×".join(map(str, image.shape[:2]))
            expected = "an image" if first is None else "×".join(map(str, first.shape[:2]))
            raise AnchorlabError(
                f"{where}, the image in row {row} is {size}, but the first one is {expected}: bring all images to one "
                "size first"
            )


def _pixels(picture: Any) -> Any:
    """uint8 ``[H, W]`` of a grey picture, ``[H, W, 3]`` of any other."""
    return np.array(picture if picture.mode == "L" else picture.convert("L" if picture.mode in _GREY else "RGB"))


#: Modes of PIL that hold grey images.
_GREY = {"1", "LA", "La"}
