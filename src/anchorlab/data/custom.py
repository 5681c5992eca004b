"""The user's own data: a file of rows, a folder or a data set of the hub, with the columns that the user names."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path

from anchorlab.data.columns import DataColumns, classes_of, find_column, read_labels, read_texts
from anchorlab.data.images import ImageColumn, read_images
from anchorlab.data.reading import PartReading
from anchorlab.data.sources import OpenedPart, Source, listed, open_source
from anchorlab.data.split import RawData, Split
from anchorlab.data.task import TaskDefinition
from anchorlab.errors import AnchorlabError

_TEST_PARTS = ("test", "validation", "valid", "val", "dev")


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
    parts = open_source(Source(task=name), data)
    if "train" not in parts:
        raise AnchorlabError(f"{data} has the parts {listed(parts)}, expected one named 'train': rename one")
    test = next((part for part in _TEST_PARTS if part in parts), None)
    classes = classes_of(parts["train"].rows, columns.label, str(data))
    found = {part: parts[part] for part in ("train", test) if part is not None}
    splits, notes = (_images if columns.text is None else _texts)(found, columns, str(data), classes)
    reading = tuple(PartReading(name, part.files, of) for (name, part), of in zip(found.items(), notes, strict=True))
    return RawData(splits[0], splits[1] if len(splits) > 1 else None, classes, reading)


#: The parts as they were read, and what each part's reading notes.
_Read = tuple[list[Split], list[tuple[str, ...]]]


def _texts(parts: dict[str, OpenedPart], columns: DataColumns, where: str, classes: tuple[str, ...]) -> _Read:
    assert columns.text is not None
    splits = [read_texts(part.rows, columns.text, columns.label, where, classes) for part in parts.values()]
    return splits, [()] * len(splits)


def _images(parts: dict[str, OpenedPart], columns: DataColumns, where: str, classes: tuple[str, ...]) -> _Read:
    """Parts of images, of one size and with the same channels."""
    assert columns.image is not None
    for part in parts.values():
        find_column(part.rows, columns.image, where)
    labels = [read_labels(part.rows, columns.label, where, classes) for part in parts.values()]
    folder = Path(where).expanduser()
    images = read_images(
        [
            ImageColumn(part, columns.image, f"{where}, part '{name}'", folder if folder.is_dir() else None)
            for name, part in parts.items()
        ]
    )
    splits = [Split({"pixel_values": read.pixels}, of) for read, of in zip(images, labels, strict=True)]
    return splits, [read.notes for read in images]
