"""Inputs of unknown origin, for detectors to judge: a file of rows or a folder of images, with labels or without."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anchorlab.data.class_folders import images_among, is_image
from anchorlab.data.columns import DataColumns, find_column, label_column, text_column
from anchorlab.data.folders import visible
from anchorlab.data.images import ImageColumn, read_images
from anchorlab.data.part_names import listed
from anchorlab.data.separated import read_separated, text_bytes
from anchorlab.data.sources import OpenedPart, Source, open_source
from anchorlab.data.split import Split
from anchorlab.data.task import Task
from anchorlab.errors import AnchorlabError, quoted, shortened
from anchorlab.files import kind_at, user_path
from anchorlab.notices import notice

#: What stands between the columns of a file of texts, by the end of its name; None: there are no columns.
_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": None}

#: What may stand between columns, in words.
_SIGNS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}


@dataclass(frozen=True)
class UnjudgedInputs:
    """Inputs that a user gave.

    Attributes:
        split: N examples as the model reads them; their labels are 0 and mean nothing.
        places: where each of them stands: ``row 17``, or the name of its file.
        labels: the name of the label that each came with; None without one.
    """

    split: Split
    places: tuple[str, ...]
    labels: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.split)


def read_inputs(
    given: str | Path, task: Task, columns: DataColumns | None = None, *, as_stored: bool = False
) -> UnjudgedInputs:
    """Inputs from a file of rows, a folder of images, or one image, as a model of the task reads them.

    Args:
        given: a file of rows (CSV, TSV, JSON, parquet), a .txt file with a text a line, a folder of
            images, with class folders or without, or a hub name.
        task: the task as the model reads it.
        columns: what is where; None for the columns of the task's own data, or those that can be guessed, with a
            notice where there is only one.
        as_stored: whether images keep their size, and texts get no inputs yet.

    Raises:
        AnchorlabError: if there is nothing to read, no column of texts or images is known, or images have another size
            than the task's, or the parts of the data different ones.
    """
    parts = _opened(given)
    read = [_read_part(opened, f"{given}, part '{name}'", given, task, columns) for name, opened in parts.items()]
    if task.kind == "image":
        like, of = (read[0].split, "its first part") if as_stored else (task.split("test"), task.name)
        for name, one in zip(parts, read, strict=True):
            _check_pixels(one.split, like, of, f"{given}, part '{name}'")
    split = _joined([one.split for one in read])
    if task.encoding is not None and not as_stored:
        split = split.encoded(task.encoding)
    places = tuple(
        place if len(parts) == 1 else f"{name}: {place}"
        for name, one in zip(parts, read, strict=True)
        for place in one.places
    )
    return UnjudgedInputs(split, places, tuple(label for one in read for label in one.labels))


def as_inputs(given: Sequence[str] | Tensor, task: Task, *, as_stored: bool = False) -> UnjudgedInputs:
    """Inputs that are in memory already: texts, or images as uint8 ``[N, C, H, W]``.

    Args:
        given: the inputs.
        task: the task as the model reads it.
        as_stored: whether images keep their size, and texts get no inputs yet.

    Raises:
        AnchorlabError: for none, an empty text, texts for a model of images or the other way round, images of another
            type, or of another size than the task's.
    """
    _check_kind("image" if isinstance(given, Tensor) else "text", task, "the inputs")
    if len(given) == 0:
        raise AnchorlabError("there are no inputs: give one or more")
    if isinstance(given, Tensor):
        if given.dtype != torch.uint8 or given.ndim != 4:
            raise AnchorlabError(
                f"the images are {str(given.dtype).removeprefix('torch.')} of {given.ndim} dimensions, expected uint8 "
                "of 4 (number × channels × height × width): bring them to that form first"
            )
        split = Split({"pixel_values": given}, torch.zeros(len(given), dtype=torch.int64))
        if not as_stored:
            _check_pixels(split, task.split("test"), task.name, "the images")
    else:
        empty = next((row for row, text in enumerate(given) if not text.strip()), None)
        if empty is not None:
            raise AnchorlabError(f"the inputs, row {empty} is an empty text: give its words, or leave the row out")
        split = Split({}, torch.zeros(len(given), dtype=torch.int64), tuple(given))
    if task.encoding is not None and not as_stored:
        split = split.encoded(task.encoding)
    return UnjudgedInputs(split, tuple(f"row {row}" for row in range(len(split))), (None,) * len(split))


def _opened(given: str | Path) -> dict[str, OpenedPart]:
    """The parts of a file or folder; images that lie in a folder without classes are one part."""
    path = user_path(given)
    kind = kind_at(path)
    if kind == "file" and is_image(path):
        return {"all": _loose_images([path])}
    if kind == "folder":
        files = visible(path)
        if any(map(is_image, files)) and not any(file.is_dir() for file in files):
            return {"all": _loose_images(images_among(files, path, []))}
    if kind == "file" and path.suffix.lower() in _SEPARATORS:
        return {"all": _separated(path)}
    return open_source(Source(task="the inputs"), str(given))


def _loose_images(files: Sequence[Path]) -> OpenedPart:
    from datasets import Dataset, Features, Image

    pictures = [{"bytes": None, "path": str(file)} for file in files]
    rows = Dataset.from_dict({"image": pictures}, Features({"image": Image(decode=False)}))
    return OpenedPart(rows, tuple(file.name for file in files))


def _separated(file: Path) -> OpenedPart:
    """A file of texts: rows, of which one column will do because labels may be missing, or a text a line."""
    from datasets import Dataset

    separator = _SEPARATORS[file.suffix.lower()]
    if separator is None:
        # Texts may hold what else str.splitlines takes for the end of a line, such as U+2028 and form feeds.
        lines = [line for line in re.split(r"\r\n|\r|\n", text_bytes(file).decode()) if line.strip()]
        return OpenedPart(Dataset.from_dict({"text": lines}), (file.name,), counts=(len(lines),))
    table, notes = read_separated(file, separator, one_column=True)
    return OpenedPart(Dataset(table), (file.name,), notes, (table.num_rows,))


def _read_part(
    opened: OpenedPart, where: str, given: str | Path, task: Task, columns: DataColumns | None
) -> UnjudgedInputs:
    if not len(opened.rows):
        raise AnchorlabError(f"{where} holds no rows, expected some: give a file that has inputs")
    own = columns or task.definition.columns
    if task.kind == "text":
        if columns is not None and columns.text is not None:
            column = find_column(opened.rows, columns.text, where)
        else:
            column = _text_column(opened.rows, None if own is None else own.text, where, given)
        split = Split({}, _zeros(opened), text_column(opened, column, where))
    else:
        column = find_column(opened.rows, (own.image if own is not None and own.image else "image"), where)
        split = Split({"pixel_values": _pixels(opened, column, where, given, task)}, _zeros(opened))
    places = tuple(opened.place(row) for row in range(len(split)))
    return UnjudgedInputs(split, places, _labels(opened, "label" if own is None else own.label, where))


def _zeros(opened: OpenedPart) -> Tensor:
    return torch.zeros(len(opened.rows), dtype=torch.int64)


def _text_column(rows: Any, wanted: str | None, where: str, given: str | Path) -> str:
    """The column of texts: the one that is known, one called ``text``, the only one, or the only one of texts."""
    names: list[str] = list(rows.column_names)
    for known in (wanted, "text"):
        if known is not None and known in names:
            return known
    if len(names) == 1:
        separator = _SEPARATORS.get(user_path(given).suffix.lower())
        other = next((sign for sign in ",;\t|" if sign in names[0]), None)
        if separator is not None and other is not None:
            raise AnchorlabError(
                f"{where} has one column, {quoted(names[0])}, expected {_SIGNS[separator]} between columns and not "
                f"{_SIGNS[other]}: separate them so, or name the column by --text-column"
            )
        if user_path(given).suffix.lower() in _SEPARATORS and len(names[0].split()) > 1:
            raise AnchorlabError(
                f"{where} has the one column {quoted(names[0])}, which reads like a text and not like a name: write "
                "text above the first one, give a .txt file with a text a line, or name the column by --text-column"
            )
        notice(f"the inputs are read from the only column, '{names[0]}'")
        return names[0]
    texts = [name for name in names if getattr(rows.features[name], "dtype", "") in ("string", "large_string")]
    if len(texts) == 1:
        return texts[0]
    missing = "" if wanted is None else f"no column '{shortened(wanted)}', and "
    raise AnchorlabError(f"{where} has {missing}the columns {listed(names)}: name the one of texts by --text-column")


def _pixels(opened: OpenedPart, column: str, where: str, given: str | Path, task: Task) -> Tensor:
    channels = task.split("test").inputs["pixel_values"].shape[1]
    path = user_path(given)
    folder = path if path.is_dir() else path.parent if is_image(path) else None
    mode = {1: "L", 3: "RGB"}.get(channels)
    (images,) = read_images([ImageColumn(opened, column, where, folder)], mode=mode)  # type: ignore[arg-type]
    return images.pixels


def _labels(opened: OpenedPart, column: str, where: str) -> tuple[str | None, ...]:
    """The names of the labels that the inputs came with; None of all where there are none that can be read."""
    if column not in opened.rows.column_names:
        return (None,) * len(opened.rows)
    try:
        return tuple(label_column(opened, column, where).names)
    except AnchorlabError:
        return (None,) * len(opened.rows)


def _check_kind(kind: str, task: Task, where: str) -> None:
    if kind != task.kind:
        raise AnchorlabError(f"{where} are {kind}s, but the model reads {task.kind}s: give {task.kind}s")


def _check_pixels(split: Split, like: Split, of: str, where: str) -> None:
    found, wanted = (tuple(one.inputs["pixel_values"].shape[1:]) for one in (split, like))
    if found != wanted:
        raise AnchorlabError(
            f"{where} holds images of {'×'.join(map(str, found))} (channels × height × width), but those of "
            f"{of} are {'×'.join(map(str, wanted))}: bring them to that size first"
        )


def _joined(splits: Sequence[Split]) -> Split:
    if len(splits) == 1:
        return splits[0]
    labels = torch.cat([split.labels for split in splits])
    if splits[0].texts is not None:
        return Split({}, labels, tuple(text for split in splits for text in split.texts or ()))
    return Split({"pixel_values": torch.cat([split.inputs["pixel_values"] for split in splits])}, labels)
