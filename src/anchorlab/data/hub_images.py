"""Named image data: from the hub, or from a local copy of the same columns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from anchorlab.data.images import ImageColumn, read_images
from anchorlab.data.kept import read_once
from anchorlab.data.part_names import listed
from anchorlab.data.reading import PartReading
from anchorlab.data.sources import HUB, OpenedPart, Source, find_test
from anchorlab.data.split import RawData, Split
from anchorlab.errors import AnchorlabError
from anchorlab.files import user_path


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
    return read_once(source, data, ("images", asdict(source)), partial(_read, source, data))


def _read(source: ImageSource, data: str | None, parts: dict[str, OpenedPart]) -> RawData:
    where = source.hub_name if data in (None, HUB) else str(data)
    test_part = find_test(source, parts, source.test_parts, where)
    read = {name: parts[name] for name in ("train", test_part)}
    holders = {name: f"{where}, part '{name}'" for name in read}
    folder = None if data in (None, HUB) or not user_path(where).is_dir() else user_path(where)
    columns = [
        ImageColumn(part, _image_column(source, part.rows.features, holders[name]), holders[name], folder)
        for name, part in read.items()
    ]
    classes, test_classes = (_classes(source, part.rows.features, holders[name]) for name, part in read.items())
    if classes != test_classes:
        raise AnchorlabError(
            f"{source.task}: {where} numbers its classes differently in 'train' and '{test_part}', "
            "expected the same names in the same order: write both parts with one ClassLabel feature"
        )
    labels = [_labels(source, part.rows, len(classes), holders[name]) for name, part in read.items()]
    images = read_images(columns, mode=source.mode, size=source.size)
    train, test = (Split({"pixel_values": of.pixels}, at) for of, at in zip(images, labels, strict=True))
    noted = zip(read.items(), images, strict=True)
    reading = tuple(PartReading(name, part.files, (*part.notes, *of.notes)) for (name, part), of in noted)
    return RawData(train=train, test=test, classes=classes, reading=reading)


def _image_column(source: ImageSource, features: Any, where: str) -> str:
    column = next((name for name in source.image_columns if name in features), None)
    if column is None or "label" not in features:
        raise AnchorlabError(
            f"{source.task}: {where} has the columns {listed(features)}, expected "
            f"{listed(source.image_columns, ' or ')} and 'label': rename them, or give another copy"
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


def _labels(source: ImageSource, rows: Any, classes: int, where: str) -> Tensor:
    """int64 ``[N]``."""
    labels = rows["label"][:]
    for row, label in enumerate(labels):
        if not isinstance(label, int) or not 0 <= label < classes:
            raise AnchorlabError(
                f"{source.task}: {where}, image {row} has the label {label!r}, expected an integer from 0 to "
                f"{classes - 1}: correct it, or give another copy"
            )
    return torch.tensor(labels, dtype=torch.int64)
