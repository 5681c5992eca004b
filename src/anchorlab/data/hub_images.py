"""Named image data: from the hub, or from a local copy of the same columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from anchorlab.data.reading import PartReading
from anchorlab.data.sources import HUB, Source, find_test, listed, open_source
from anchorlab.data.split import RawData, Split
from anchorlab.errors import AnchorlabError, reason


@dataclass(frozen=True, kw_only=True)
class ImageSource(Source):
    """What the image data of a task look like, wherever they are.

    Attributes:
        image_columns: the names that the column of images may have.
        test_parts: the names that the test part may have; the first one that is there is read.
        mode: ``"L"`` for grey images, ``"RGB"`` for colour; images of another mode are converted.
        size: height and width of every image, in pixels.
        classes: the names of the classes, used where the labels are plain integers.
    """

    image_columns: tuple[str, ...]
    test_parts: tuple[str, ...]
    mode: Literal["L", "RGB"]
    size: int
    classes: tuple[str, ...]


def load_images(source: ImageSource, data: str | None) -> RawData:
    """The training and test parts of an image data set, resident as uint8 ``[N, C, H, W]``.

    Args:
        source: what is expected.
        data: None or ``"hub"`` for the usual hub data set; another hub name; or a folder in one of three
            layouts: parquet files named ``train-*`` and ``test-*``, there or in one folder below; images in
            ``train/CLASS/`` and ``test/CLASS/``; or what ``DatasetDict.save_to_disk`` wrote.

    Raises:
        AnchorlabError: if the data cannot be found or read, or are not what the source says.
    """
    parts = open_source(source, data)
    where = source.hub_name if data in (None, HUB) else str(data)
    test_part = find_test(source, parts, source.test_parts, where)
    train, classes = _read(source, parts["train"].rows, f"{where}, part 'train'")
    test, test_classes = _read(source, parts[test_part].rows, f"{where}, part '{test_part}'")
    if classes != test_classes:
        raise AnchorlabError(
            f"{source.task}: {where} numbers its classes differently in 'train' and '{test_part}', "
            "expected the same names in the same order: write both parts with one ClassLabel feature"
        )
    reading = tuple(PartReading(name, parts[name].files) for name in ("train", test_part))
    return RawData(train=train, test=test, classes=classes, reading=reading)


def _read(source: ImageSource, part: Any, where: str) -> tuple[Split, tuple[str, ...]]:
    """One part decoded into tensors, and the names of its classes."""
    from datasets import Image

    column = _image_column(source, part.features, where)
    classes = _classes(source, part.features, where)
    rows = part.select_columns([column, "label"]).cast_column(column, Image(mode=source.mode))
    images = torch.empty(len(rows), len(source.mode), source.size, source.size, dtype=torch.uint8)
    labels = torch.empty(len(rows), dtype=torch.int64)
    batches = rows.iter(batch_size=256)  # twice as fast as rows one by one
    pairs = (pair for batch in batches for pair in zip(batch[column], batch["label"], strict=True))
    try:
        for index, (picture, label) in enumerate(pairs):
            images[index] = _pixels(source, picture, f"{where}, image {index}")
            labels[index] = _label(source, label, len(classes), f"{where}, image {index}")
    except (OSError, SyntaxError) as error:  # PIL reports some damaged files as a SyntaxError
        raise AnchorlabError(
            f"{source.task}: {where} holds an image that cannot be decoded ({reason(error)}): "
            "make the copy again, or give another one"
        ) from error
    return Split({"pixel_values": images}, labels), classes


def _image_column(source: ImageSource, features: Any, where: str) -> str:
    from datasets import Image

    column = next((name for name in source.image_columns if name in features), None)
    if column is None or "label" not in features:
        raise AnchorlabError(
            f"{source.task}: {where} has the columns {listed(features)}, expected "
            f"{listed(source.image_columns, ' or ')} and 'label': rename them, or give another copy"
        )
    if not isinstance(features[column], Image):
        raise AnchorlabError(
            f"{source.task}: the column '{column}' of {where} holds {features[column]}, expected images: "
            "write the copy with datasets' Image feature"
        )
    return column


def _classes(source: ImageSource, features: Any, where: str) -> tuple[str, ...]:
    """The names of the classes: from the data if they have names, otherwise from the task."""
    from datasets import ClassLabel

    label = features["label"]
    names = tuple(label.names) if isinstance(label, ClassLabel) else source.classes
    if len(names) != len(source.classes):
        raise AnchorlabError(
            f"{source.task}: {where} has {len(names)} classes, expected {len(source.classes)}: "
            "give a copy that names them all, even if it holds examples of a few"
        )
    return names


def _pixels(source: ImageSource, picture: Any, where: str) -> Tensor:
    """A PIL image as uint8 ``[C, H, W]``."""
    size = None if picture is None else picture.size
    if size != (source.size, source.size):
        raise AnchorlabError(
            f"{source.task}: {where} is {'missing' if size is None else f'{size[0]}×{size[1]}'}, "
            f"expected {source.size}×{source.size} pixels: repair or remove it, or give another copy"
        )
    flat = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return flat.view(source.size, source.size, -1).permute(2, 0, 1)


def _label(source: ImageSource, label: Any, classes: int, where: str) -> int:
    if not isinstance(label, int) or not 0 <= label < classes:
        raise AnchorlabError(
            f"{source.task}: {where} has the label {label!r}, expected an integer from 0 to {classes - 1}: "
            "correct it, or give another copy"
        )
    return label
