"""The user's own data: a file of rows, a folder or a data set of the hub, with the columns that the user names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from torch import Tensor

from anchorlab.data.columns import DataColumns, find_column, label_column, text_column
from anchorlab.data.images import ImageColumn, read_images
from anchorlab.data.kept import read_once
from anchorlab.data.labels import decide_classes
from anchorlab.data.part_names import listed
from anchorlab.data.reading import PartReading
from anchorlab.data.sources import OpenedPart, Source
from anchorlab.data.split import RawData, Split
from anchorlab.data.swallowed import check_swallowed
from anchorlab.data.task import TaskDefinition
from anchorlab.data.unlabelled import check_labelled
from anchorlab.errors import AnchorlabError
from anchorlab.files import user_path


@lru_cache(maxsize=8)  # one object for one task, because its data are cached by it
def custom_definition(data: str, columns: DataColumns) -> TaskDefinition:
    """The definition of a task on the user's data.

    Args:
        data: a file, a folder or a hub name, see ``open_source``.
        columns: the columns of texts or images and labels.
    """
    name = Path(data).stem
    description = f"{name}, the user's own data"
    load = partial(_load, name, columns)
    if columns.text is not None:
        return TaskDefinition(
            name=name,
            load=load,
            architecture="minilm",
            epochs=3,
            description=description,
            kind="text",
            batch_size=32,
            learning_rate=1e-4,
            tuning_rate=1e-4,
            max_length=columns.max_length,
            columns=columns,
        )
    return TaskDefinition(
        name=name, load=load, architecture="resnet-small", epochs=10, description=description, columns=columns
    )


def _load(name: str, columns: DataColumns, data: str | None) -> RawData:
    """The parts of the data; if there is no test part, ``load_task`` cuts one.

    Raises:
        AnchorlabError: naming what is missing or cannot be used.
    """
    settings = ("own", name, columns.text, columns.image, columns.label)
    return read_once(Source(task=name), data, settings, partial(_read, columns, data))


def _read(columns: DataColumns, data: str | None, parts: dict[str, OpenedPart]) -> RawData:
    if "train" not in parts:
        raise AnchorlabError(f"{data} has the parts {listed(parts)}, expected one named 'train': rename one")
    test = next((part for part in ("test", "validation") if part in parts), None)
    if test is not None:
        check_labelled(parts, test, columns.label, str(data))
    used = {part: parts[part] for part in ("train", test) if part is not None}
    where = {part: f"{data}, part '{part}'" for part in used}
    empty = next((part for part, opened in used.items() if not len(opened.rows)), None)
    if empty is not None:
        raise AnchorlabError(f"{where[empty]} holds no rows, expected some: add them, or remove the part")
    labels = {part: label_column(opened, columns.label, where[part]) for part, opened in used.items()}
    classes = decide_classes(labels)
    indices = [of.indices(classes) for of in labels.values()]
    if columns.text is None:
        splits, notes = _images(used, columns, where, str(data), indices)
    else:
        splits, notes = _texts(used, columns, where, classes, indices)
    noted = zip(used.items(), notes, strict=True)
    reading = tuple(
        PartReading(part, opened.files, (*opened.notes, *labels[part].notes, *of)) for (part, opened), of in noted
    )
    return RawData(splits[0], splits[1] if len(splits) > 1 else None, classes, _with_unused(reading, parts))


def _with_unused(reading: tuple[PartReading, ...], parts: Mapping[str, OpenedPart]) -> tuple[PartReading, ...]:
    """The reading, with a note on the parts that were not read."""
    unused = [part for part in parts if part not in {of.part for of in reading}]
    if not unused:
        return reading
    note = f"not read: the part{'s' * (len(unused) > 1)} {listed(unused)}"
    return replace(reading[0], notes=(*reading[0].notes, note)), *reading[1:]


#: The parts as they were read, and what each part's reading notes.
_Read = tuple[list[Split], list[tuple[str, ...]]]


def _texts(
    parts: Mapping[str, OpenedPart],
    columns: DataColumns,
    where: Mapping[str, str],
    classes: Sequence[str],
    labels: Sequence[Tensor],
) -> _Read:
    assert columns.text is not None
    splits = []
    for (part, opened), indices in zip(parts.items(), labels, strict=True):
        texts = text_column(opened, columns.text, where[part])
        check_swallowed(opened, (columns.text, columns.label), texts, classes, where[part])
        splits.append(Split({}, indices, texts))
    return splits, [()] * len(splits)


def _images(
    parts: Mapping[str, OpenedPart],
    columns: DataColumns,
    where: Mapping[str, str],
    data: str,
    labels: Sequence[Tensor],
) -> _Read:
    """Parts of images, of one size and with the same channels."""
    assert columns.image is not None
    for part, opened in parts.items():
        find_column(opened.rows, columns.image, where[part])
    folder = user_path(data)
    images = read_images(
        [
            ImageColumn(opened, columns.image, where[part], folder if folder.is_dir() else None)
            for part, opened in parts.items()
        ]
    )
    splits = [Split({"pixel_values": read.pixels}, of) for read, of in zip(images, labels, strict=True)]
    return splits, [read.notes for read in images]
