"""Data that were read once are kept in the cache, so that no process decodes again what another one has decoded.

An entry's key is a hash of what the source files hold, of what decides how they are read, and of the code that reads
them. What is read is kept with its reading: the names of the files and every note. A refusal is never kept, because
nothing was read. So data come out of the cache as they came out of their files.

The files themselves are not read again while the disk says that none has changed (``anchorlab.data.source_files``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anchorlab.cache.notes import note, recall
from anchorlab.cache.store import LEAST, Entry, damaged, digest, find, keep
from anchorlab.data.reader import reader
from anchorlab.data.reading import PartReading
from anchorlab.data.source_files import SourceFiles, files_at, files_named
from anchorlab.data.sources import HUB, OpenedPart, Source, open_source
from anchorlab.data.split import RawData, Split


def read_once(
    source: Source, data: str | None, settings: tuple[Any, ...], read: Callable[[dict[str, OpenedPart]], RawData]
) -> RawData:
    """Data of this machine or of the hub: from the cache, or opened, read and kept there.

    Args:
        source: what is looked for.
        data: where it is, as ``open_source`` takes it.
        settings: all that decides how the parts are read, as values of JSON.
        read: reads the opened parts.

    Raises:
        AnchorlabError: as ``open_source`` and ``read`` do.
    """
    if data not in (None, HUB) and files_at(data) is not None:
        return kept(settings, partial(files_at, data), str(data), lambda: read(open_source(source, data)))
    parts = open_source(source, data)
    described = [[name, len(part.rows), str(part.rows.features)] for name, part in parts.items()]
    return kept((*settings, described), partial(_hub_files, parts), data or source.hub_name, lambda: read(parts))


def kept(
    settings: tuple[Any, ...], look: Callable[[], SourceFiles | None], source: str, read: Callable[[], RawData]
) -> RawData:
    """Data from the cache, or read and kept there.

    Args:
        settings: all that decides how the files are read, as values of JSON.
        look: the files that are read, as they are now; None if they are not known, and then nothing is kept.
        source: where the data are, for ``anchorlab cache``.
        read: reads them.

    Raises:
        AnchorlabError: as ``read`` does.
    """
    files = look()
    if files is None:
        return read()
    known = digest("content", files.state)
    content = recall(known)
    if isinstance(content, str):
        raw = _found(digest("data", reader(), settings, content))
        if raw is not None:
            return raw
    raw = read()
    if _bytes(raw) < LEAST or not files.settled or not _covers(files, raw):
        return raw
    try:
        content = files.content()
    except OSError:
        return raw
    after = look()
    if after is None or after.state != files.state:  # somebody wrote to them meanwhile
        return raw
    entry = _keep(digest("data", reader(), settings, content), raw, source)
    if entry is None:
        return raw
    note(known, content)
    return _opened(entry)


def inferred_once(data: str, what: tuple[Any, ...], infer: Callable[[], Any]) -> Any:
    """A small value of JSON that is inferred from large files: from the cache, or inferred and kept there.

    Args:
        data: a file or folder.
        what: all else that decides the value, as values of JSON.
        infer: gives it; not None.
    """
    files = files_at(data)
    if files is None or not files.settled or files.size < LEAST:
        return infer()
    key = digest("inferred", reader(), what, data, files.state)
    value = recall(key)
    if value is None:
        value = infer()
        after = files_at(data)
        if after is not None and after.state == files.state:
            note(key, value)
    return value


def _hub_files(parts: Mapping[str, OpenedPart]) -> SourceFiles | None:
    """The Arrow files of data of the hub; None if these do not hold all that is read."""
    from datasets import Image

    paths: list[Path] = []
    for part in parts.values():
        stored = getattr(part.rows, "cache_files", [])
        if part.files or not stored or getattr(part.rows, "_indices", None) is not None:
            return None
        for name, feature in part.rows.features.items():
            if isinstance(feature, Image):
                first = part.rows.select_columns([name]).cast_column(name, Image(decode=False))[0][name]
                if not first or first.get("bytes") is None:
                    return None
        paths += [Path(file["filename"]) for file in stored]
    return files_named(paths)


def _covers(files: SourceFiles, raw: RawData) -> bool:
    """Whether all files that were read by their names are among those whose content is hashed."""
    names = set(files.names)
    return all(file in names for reading in raw.reading for file in reading.files)


def _bytes(raw: RawData) -> int:
    parts = [part for part in (raw.train, raw.test) if part is not None]
    pixels = sum(value.nbytes for part in parts for value in part.inputs.values())
    return pixels + sum(len(text) for part in parts for text in part.texts or ())


def _keep(key: str, raw: RawData, source: str) -> Entry | None:
    arrays: dict[str, Any] = {}
    parts = {name: part for name, part in (("train", raw.train), ("test", raw.test)) if part is not None}
    for name, part in parts.items():
        arrays[f"{name}.labels"] = part.labels.numpy()
        if part.texts is None:
            arrays[f"{name}.pixels"] = part.inputs["pixel_values"].numpy()
        else:
            written = [text.encode("utf-8", errors="surrogatepass") for text in part.texts]
            arrays[f"{name}.texts"] = np.frombuffer(b"".join(written), dtype=np.uint8)
            arrays[f"{name}.ends"] = np.cumsum([len(text) for text in written], dtype=np.int64)
    kind = "images" if raw.train.texts is None else "texts"
    counts = " and ".join(f"{len(part):,}" for part in parts.values())
    value = {
        "parts": list(parts),
        "classes": list(raw.classes),
        "reading": [[reading.part, list(reading.files), list(reading.notes)] for reading in raw.reading],
    }
    return keep("data", key, arrays, value, what=f"{counts} {kind}", source=source)


def _found(key: str) -> RawData | None:
    entry = find("data", key)
    if entry is None:
        return None
    try:
        return _opened(entry)
    except (ValueError, KeyError, TypeError) as error:
        damaged(entry.place, str(error))
        return None


def _opened(entry: Entry) -> RawData:
    """The data in an entry.

    Raises:
        ValueError, KeyError, TypeError: if it holds something else.
    """
    classes = tuple(_text(name) for name in entry.value["classes"])
    splits = [_part(entry, name, len(classes)) for name in entry.value["parts"]]
    if entry.value["parts"] not in (["train"], ["train", "test"]):
        raise ValueError("it has other parts")
    reading = tuple(
        PartReading(_text(part), tuple(map(_text, files)), tuple(map(_text, notes)))
        for part, files, notes in entry.value["reading"]
    )
    raw = RawData(splits[0], splits[1] if len(splits) > 1 else None, classes, reading)
    return raw.known_as(entry.place.folder.name)


def _part(entry: Entry, name: str, classes: int) -> Split:
    labels = entry.arrays[f"{name}.labels"]
    if (
        labels.ndim != 1
        or labels.dtype != np.int64
        or (len(labels) and not 0 <= labels.min() <= labels.max() < classes)
    ):
        raise ValueError("its labels are no classes")
    if f"{name}.pixels" in entry.arrays:
        pixels = entry.arrays[f"{name}.pixels"]
        if pixels.ndim != 4 or pixels.dtype != np.uint8 or len(pixels) != len(labels):
            raise ValueError("its images are none")
        return Split({"pixel_values": torch.from_numpy(pixels)}, torch.from_numpy(labels))
    content, ends = entry.arrays[f"{name}.texts"], entry.arrays[f"{name}.ends"]
    if content.ndim != 1 or content.dtype != np.uint8 or ends.shape != labels.shape or ends.dtype != np.int64:
        raise ValueError("its texts are none")
    whole, places = content.tobytes(), [0, *ends.tolist()]
    if places[-1] != len(whole) or places != sorted(places):
        raise ValueError("its texts have other lengths")
    texts = tuple(whole[start:end].decode("utf-8", errors="surrogatepass") for start, end in pairwise(places))
    return Split({}, torch.from_numpy(labels), texts)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"it holds {type(value).__name__} where a text is expected")
    return value
