"""Named text data: from the hub, or from a local copy of the same columns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial

from anchorlab.data.columns import label_column, text_column
from anchorlab.data.kept import read_once
from anchorlab.data.labels import counted
from anchorlab.data.reading import PartReading
from anchorlab.data.sources import HUB, OpenedPart, Source, find_test
from anchorlab.data.split import RawData, Split


@dataclass(frozen=True, kw_only=True)
class TextSource(Source):
    """What the text data of a task look like, wherever they are.

    Attributes:
        text_column: the name of the column of texts; labels are in ``label``, as numbers.
        test_parts: the names that the test part may have; the first one that is there is read.
        classes: the names of the classes, by number.
        stored_classes: the names that the data give to the classes, if they are others.
    """

    text_column: str
    test_parts: tuple[str, ...]
    classes: tuple[str, ...]
    stored_classes: tuple[str, ...] = ()


def load_texts(source: TextSource, data: str | None) -> RawData:
    """The training and test parts of a text data set.

    Args:
        source: what is expected.
        data: None or ``"hub"`` for the usual hub data set, another hub name, or a folder (see ``open_source``).

    Raises:
        AnchorlabError: if the data cannot be found or read, or are not what the source says.
    """
    return read_once(source, data, ("texts", asdict(source)), partial(_read, source, data))


def _read(source: TextSource, data: str | None, parts: dict[str, OpenedPart]) -> RawData:
    where = source.hub_name if data in (None, HUB) else str(data)
    test = find_test(source, parts, source.test_parts, where)
    splits: dict[str, Split] = {}
    for name in ("train", test):
        holder = f"{where}, part '{name}'"
        labels = counted(label_column(parts[name], "label", holder), source.stored_classes or source.classes)
        splits[name] = Split({}, labels, text_column(parts[name], source.text_column, holder))
    reading = tuple(PartReading(name, parts[name].files, parts[name].notes) for name in ("train", test))
    return RawData(splits["train"], splits[test], source.classes, reading)
