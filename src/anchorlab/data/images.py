"""Columns of encoded images as pixels: one size and one number of channels over all parts of the data."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image as PILImage
from torch import Tensor

from anchorlab.data.pictures import SCALED, OpenedPicture, open_picture
from anchorlab.data.sources import OpenedPart
from anchorlab.errors import AnchorlabError, quoted, reason, shortened

#: Largest encoded image, in bytes.
_MOST_BYTES = 2**30

#: Types of columns that hold bytes, as ``datasets`` names them.
_BINARY = ("binary", "large_binary")

#: Of images of more than 8 bits, the brightest pixel must be above this once they are scaled to 8.
_DARK = 16


@dataclass(frozen=True)
class ImageColumn:
    """The images of one part of the data, as they are stored.

    Attributes:
        part: the part.
        column: the name of the column.
        where: what holds the part, for messages, for example ``photos, part 'train'``.
        folder: the local folder that ``part.files`` are relative to; None if there is none.
    """

    part: OpenedPart
    column: str
    where: str
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.part.rows)

    def __iter__(self) -> Iterator[OpenedPicture]:
        """Each row's image, its header read.

        Raises:
            AnchorlabError: naming the first image that is missing or cannot be opened.
        """
        values = (value for batch in self._rows.iter(batch_size=64) for value in batch[self.column])
        return (self._opened(row, value) for row, value in enumerate(values))

    @cached_property
    def _rows(self) -> Any:
        """The column alone: each row is bytes, or a dictionary of bytes and path.

        ``datasets`` must not decode it, because it opens any format that PIL knows, and any file that a row names.
        """
        from datasets import Image

        feature = self.part.rows.features[self.column]
        rows = self.part.rows.select_columns([self.column]).with_format(None)
        if isinstance(feature, Image):
            return rows.cast_column(self.column, Image(decode=False))
        types = {name: getattr(of, "dtype", "") for name, of in feature.items()} if isinstance(feature, dict) else {}
        named = types.pop("path", "string") in ("string", "large_string", "null")
        if named and set(types) <= {"bytes"} and types.get("bytes", getattr(feature, "dtype", "")) in _BINARY:
            return rows
        raise AnchorlabError(
            f"the column '{shortened(self.column)}' of {self.where} holds {_described(feature)}, expected encoded "
            "images such as PNG: write it with datasets' Image feature, or put the images into class folders"
        )

    def _opened(self, row: int, value: Any) -> OpenedPicture:
        stored = value if isinstance(value, dict) else {"bytes": value}
        content, path = stored.get("bytes"), stored.get("path")
        place = self.part.place(row) if self.part.counts else f"row {row}"
        if content is None and path:
            return self._opened_file(place, path)
        hint = f" ('{shortened(path)}')" if path else ""
        name = f"the image in {place}{hint} of {self.where}"
        if content is None:
            raise AnchorlabError(f"{name} is missing: add it, or remove the row")
        return open_picture(content, name)

    def _opened_file(self, place: str, path: str) -> OpenedPicture:
        if not self._may_open(path):
            raise AnchorlabError(
                f"{place} of {self.where} names the file {quoted(path)} and does not hold its bytes, and data may "
                "not open other files of this machine: store the bytes, or put the images into class folders"
            )
        name = f"the image '{shortened(path)}'"
        try:
            if not Path(path).is_file() or Path(path).stat().st_size > _MOST_BYTES:
                raise AnchorlabError(
                    f"{name} is no file, or larger than {_MOST_BYTES / 2**30:.0f} GiB: repair or remove it"
                )
            content = Path(path).read_bytes()
        except OSError as error:
            raise AnchorlabError(f"{name} cannot be read ({reason(error)}): repair or remove it") from error
        return open_picture(content, name)

    def _may_open(self, path: str) -> bool:
        """Whether a file is one that was found in the user's folder, or was downloaded from the hub."""
        if self.folder is not None:
            return os.path.relpath(path, self.folder) in self._files
        return not self.part.files and _downloaded(Path(path))

    @cached_property
    def _files(self) -> frozenset[str]:
        return frozenset(self.part.files)


@dataclass(frozen=True)
class Images:
    """The images of one part.

    Attributes:
        pixels: uint8 ``[N, C, H, W]``.
        notes: what was done to them, as sentences with counts.
    """

    pixels: Tensor
    notes: tuple[str, ...]


def read_images(
    columns: Sequence[ImageColumn], *, mode: Literal["L", "RGB"] | None = None, size: int | None = None
) -> list[Images]:
    """The images of all parts, grey if all parts are grey, otherwise RGB, and of one size.

    Their headers are read first, then each image is decoded into its place.

    Args:
        columns: one for each part.
        mode: what every image is converted to; None to let the images decide.
        size: height and width that every image must have; None to let the images decide.

    Raises:
        AnchorlabError: naming the image, if one is missing, damaged, of another size than the others, or cannot be
            brought to 8-bit grey or RGB; also if there is none, or memory does not hold them all.
    """
    survey = _Survey()
    for column in columns:
        for picture in column:
            survey.add(picture)
    shape = survey.shape(columns[0].where, size)
    grey = survey.grey if mode is None else mode == "L"
    _check_memory(survey.count, shape, 1 if grey else 3)
    depth = _Depth()
    images = [_decoded(column, shape, grey, depth) for column in columns]
    depth.check(columns[0].where)
    return images


@dataclass
class _Survey:
    """What the headers of all images say."""

    grey: bool = True
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    first: dict[tuple[int, int], str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(self.sizes.values())

    def add(self, picture: OpenedPicture) -> None:
        self.grey &= picture.grey
        self.sizes[picture.size] += 1
        self.first.setdefault(picture.size, picture.name)

    def shape(self, where: str, size: int | None) -> tuple[int, int]:
        """The one height and width; refuses images that have others, and data without images."""
        if not self.sizes:
            raise AnchorlabError(f"{where} has no rows, expected images: give data that hold some")
        ((common, count),) = self.sizes.most_common(1)
        expected = common if size is None else (size, size)
        odd = next((found for found in self.first if found != expected), None)
        if odd is None:
            return expected
        if size is not None:
            raise AnchorlabError(
                f"{self.first[odd]} is {_sides(odd)}, expected {_sides(expected)} pixels: repair or remove it, or give "
                "another copy"
            )
        more = f" ({len(self.sizes):,} sizes in all)" if len(self.sizes) > 2 else ""
        raise AnchorlabError(
            f"{self.first[odd]} is {_sides(odd)} pixels (height × width), but {count:,} of {self.count:,} images are "
            f"{_sides(common)}{more}, first of all {self.first[common]}: bring all images to one size first"
        )


@dataclass
class _Depth:
    """The brightest pixel of the images that were scaled to 8 bits; None if there are none."""

    highest: int | None = None

    def add(self, picture: PILImage.Image) -> None:
        self.highest = max(self.highest or 0, int(np.asarray(picture).max()))

    def check(self, where: str) -> None:
        """Refuses images of which almost nothing is left, for example 8-bit or 12-bit values in 16-bit files."""
        if self.highest is not None and self.highest <= _DARK:
            raise AnchorlabError(
                f"the images of {where} with more than 8 bits use the lowest sixteenth of their range alone, so that 8 "
                f"bits would leave them no more than {self.highest + 1} values: spread them over the whole range first"
            )


def _decoded(column: ImageColumn, shape: tuple[int, int], grey: bool, depth: _Depth) -> Images:
    """One part, each image decoded straight into its place."""
    pixels = torch.empty(len(column), 1 if grey else 3, *shape, dtype=torch.uint8)
    places = pixels.numpy()
    changes: Counter[str] = Counter()
    for place, opened in zip(places, column, strict=True):
        picture = opened.over_white()
        if picture.size != (shape[1], shape[0]):
            raise AnchorlabError(f"{opened.name} has another size than its header says: repair or remove it")
        if picture.mode != ("L" if grey else "RGB"):
            opened.changes.append("had colour: made grey" if grey else "had no colour: made RGB")
            picture = picture.convert("L" if grey else "RGB")
        if SCALED in opened.changes:
            depth.add(picture)
        place[...] = np.asarray(picture) if grey else np.asarray(picture).transpose(2, 0, 1)
        changes.update(opened.changes)
    return Images(pixels, tuple(f"{count:,} image{'s' * (count > 1)} {change}" for change, count in changes.items()))


def _check_memory(count: int, shape: tuple[int, int], channels: int) -> None:
    """Refuses images that this machine cannot hold, before the system ends the process."""
    if not hasattr(os, "sysconf"):
        return
    needed, present = count * shape[0] * shape[1] * channels, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > present > 0:
        raise AnchorlabError(
            f"the {count:,} images of {_sides(shape)} pixels take {needed / 1e9:,.1f} GB of memory, and this machine "
            f"has {present / 1e9:,.1f}: make them smaller first"
        )


def _described(feature: Any) -> str:
    """What a column of another type holds."""
    dtype = getattr(feature, "dtype", None)
    if dtype in ("string", "large_string"):
        return "texts (the names of files are not opened)"
    return f"values of the type {quoted(feature)}"


def _downloaded(path: Path) -> bool:
    """Whether a file lies in one of the folders into which ``datasets`` downloads."""
    from datasets import config
    from huggingface_hub import constants

    caches = (config.HF_DATASETS_CACHE, config.DOWNLOADED_DATASETS_PATH, constants.HF_HUB_CACHE)
    return any(path.resolve().is_relative_to(Path(cache).resolve()) for cache in caches)


def _sides(size: tuple[int, int]) -> str:
    return "×".join(map(str, size))
