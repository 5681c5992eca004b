"""The user's own data: a file of rows, a folder or a data set of the hub, with the columns that the user names."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path

from anchorlab.data.columns import DataColumns, classes_of, read_images, read_texts
from anchorlab.data.reading import PartReading
from anchorlab.data.sources import Source, listed, open_source
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
    used = [part for part in ("train", test) if part is not None]
    read = [_split(parts[part].rows, columns, str(data), classes) for part in used]
    reading = tuple(PartReading(part, parts[part].files) for part in used)
    return RawData(read[0], read[1] if len(read) > 1 else None, classes, reading)


def _split(part: object, columns: DataColumns, where: str, classes: tuple[str, ...]) -> Split:
    if columns.text is not None:
        return read_texts(part, columns.text, columns.label, where, classes)
    assert columns.image is not None
    return read_images(part, columns.image, columns.label, where, classes)
