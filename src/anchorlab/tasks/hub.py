"""Image data through Hugging Face ``datasets``: from the hub, or from a local copy of the same columns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from anchorlab.errors import AnchorlabError
from anchorlab.tasks.base import RawData, Split

#: What a user gives as ``--data`` to have a task downloaded that has another usual place.
HUB = "hub"

Layout = Literal["saved", "parquet", "imagefolder"]


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """What the image data of a task look like, wherever they are.

    Attributes:
        task: the task's name, for messages.
        hub_name: its usual name on the hub.
        image_columns: the names that the column of images may have.
        test_parts: the names that the test part may have; the first one found is taken.
        mode: ``"L"`` for grey images, ``"RGB"`` for colour; images of another mode are converted.
        size: height and width of every image, in pixels.
        classes: the names of the classes, used where the labels are plain integers.
    """

    task: str
    hub_name: str
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
    parts = _open(source, data)
    place = source.hub_name if data in (None, HUB) else str(data)
    test_part = next((name for name in source.test_parts if name in parts), None)
    if "train" not in parts or test_part is None:
        raise AnchorlabError(
            f"{source.task}: {place} has the parts {_listed(parts)}, expected 'train' and "
            f"{_listed(source.test_parts, ' or ')}: add or rename the missing one"
        )
    train, classes = _read(source, parts["train"], f"{place}, part 'train'")
    test, test_classes = _read(source, parts[test_part], f"{place}, part '{test_part}'")
    if classes != test_classes:
        raise AnchorlabError(
            f"{source.task}: {place} numbers its classes differently in 'train' and '{test_part}', "
            "expected the same names in the same order: write both parts with one ClassLabel feature"
        )
    return RawData(train=train, test=test, classes=classes)


def local_layout(folder: Path) -> Layout | None:
    """How the images in a folder are stored; None if it is none of the layouts that can be read."""
    if (folder / "dataset_dict.json").is_file():
        return "saved"
    if _parquet_files(folder):
        return "parquet"
    if (folder / "train").is_dir():
        return "imagefolder"
    return None


def _open(source: ImageSource, data: str | None) -> Any:
    """A dictionary from part name to ``datasets.Dataset``, from wherever ``data`` points."""
    if data is None or data == HUB:
        return _open_hub(source, source.hub_name)
    folder = Path(data).expanduser()
    if folder.is_dir():
        return _open_folder(source, folder)
    if not folder.exists() and re.fullmatch(r"[\w.-]+/[\w.-]+", data) and not data.startswith("."):
        return _open_hub(source, data)
    raise AnchorlabError(
        f"{source.task}: there is no folder '{data}', expected a folder with a copy of the data set or "
        f"a hub name such as {source.hub_name}: correct --data"
    )


def _open_hub(source: ImageSource, name: str) -> Any:
    from datasets import config, load_dataset
    from huggingface_hub import HfApi

    try:
        if not config.HF_HUB_OFFLINE:
            # Without a network load_dataset retries for half a minute; one plain request fails at once.
            HfApi().dataset_info(name, timeout=10)
        return load_dataset(name)
    except Exception as error:  # the client raises its own, httpx's, fsspec's and the system's exceptions
        raise AnchorlabError(
            f"{source.task}: '{name}' could not be loaded from the hub ({_reason(error)}): "
            "check the name and the network, or give --data FOLDER with a local copy (train-*.parquet or "
            "train/CLASS/*.png), or set HF_HUB_OFFLINE=1 if it was downloaded before"
        ) from error


def _open_folder(source: ImageSource, folder: Path) -> Any:
    from datasets import load_dataset, load_from_disk

    layout = local_layout(folder)
    if layout is None:
        raise AnchorlabError(
            f"{source.task}: the folder '{folder}' holds no images, expected train-*.parquet files, "
            "folders train/CLASS/ of images, or what datasets' save_to_disk wrote: correct --data"
        )
    try:
        if layout == "saved":
            return load_from_disk(str(folder))
        if layout == "parquet":
            # One part at a time: together they would all get the class names of the first one.
            return {
                part: load_dataset("parquet", data_files={part: files}, split=part)
                for part, files in _parquet_files(folder).items()
            }
        return load_dataset("imagefolder", data_dir=str(folder), drop_labels=False)
    except Exception as error:  # pyarrow's, PIL's and the builder's own exceptions have no common base
        raise AnchorlabError(
            f"{source.task}: the {layout} data in '{folder}' could not be read ({_reason(error)}): "
            "make the copy again, or give another folder"
        ) from error


def _parquet_files(folder: Path) -> dict[str, list[str]]:
    """Part name to its parquet files, from names such as ``train-00000-of-00001.parquet``."""
    files: dict[str, list[str]] = {}
    for path in sorted([*folder.glob("*.parquet"), *folder.glob("*/*.parquet")]):
        files.setdefault(path.stem.split("-")[0], []).append(str(path))
    return files


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
        for at, (picture, label) in enumerate(pairs):
            images[at] = _pixels(source, picture, f"{where}, image {at}")
            labels[at] = _label(source, label, len(classes), f"{where}, image {at}")
    except (OSError, SyntaxError) as error:  # PIL reports some damaged files as a SyntaxError
        raise AnchorlabError(
            f"{source.task}: {where} holds an image that cannot be decoded ({_reason(error)}): "
            "make the copy again, or give another one"
        ) from error
    return Split({"pixel_values": images}, labels), classes


def _image_column(source: ImageSource, features: Any, where: str) -> str:
    from datasets import Image

    column = next((name for name in source.image_columns if name in features), None)
    if column is None or "label" not in features:
        raise AnchorlabError(
            f"{source.task}: {where} has the columns {_listed(features)}, expected "
            f"{_listed(source.image_columns, ' or ')} and 'label': rename them, or give another copy"
        )
    if not isinstance(features[column], Image):
        raise AnchorlabError(
            f"{source.task}: the column '{column}' of {where} holds {features[column]}, expected images: "
            "write the copy with datasets' Image feature"
        )
    return column


def _classes(source: ImageSource, features: Any, where: str) -> tuple[str, ...]:
    """The names of the classes: those of the data if they have names, otherwise the task's."""
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
    found = None if picture is None else picture.size
    if found != (source.size, source.size):
        raise AnchorlabError(
            f"{source.task}: {where} is {'missing' if found is None else f'{found[0]}×{found[1]}'}, "
            f"expected {source.size}×{source.size} pixels: mend or remove it, or give another copy"
        )
    flat = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return flat.view(source.size, source.size, -1).permute(2, 0, 1)


def _label(source: ImageSource, label: Any, classes: int, where: str) -> int:
    if not isinstance(label, int) or not 0 <= label < classes:
        raise AnchorlabError(
            f"{source.task}: {where} has the label {label!r}, expected an integer from 0 to {classes - 1}: "
            "mend it, or give another copy"
        )
    return label


def _listed(names: Iterable[str], between: str = ", ") -> str:
    return between.join(f"'{name}'" for name in names) or "none"


def _reason(error: Exception) -> str:
    """What kind of exception, and the first line of its text."""
    text = str(error).strip().split("\n")[0].rstrip(".:")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
