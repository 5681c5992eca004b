"""Where data are: a file or folder of this machine, or the hub; each part opens as a ``datasets.Dataset``."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anchorlab.data.class_folders import read_class_folders
from anchorlab.data.folders import below, files_below, visible
from anchorlab.data.part_names import listed, own_parts
from anchorlab.data.parts import Layout, find_layout
from anchorlab.data.tables import TABLES, read_tables
from anchorlab.errors import AnchorlabError, reason
from anchorlab.files import kind_at, user_path

#: What a user gives as ``--data`` to download a task whose data are usually elsewhere.
HUB = "hub"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Data that are usually found on the hub.

    Attributes:
        task: the task's name, for messages.
        hub_name: their usual name on the hub; empty for the user's own data.
    """

    task: str
    hub_name: str = ""


@dataclass(frozen=True)
class OpenedPart:
    """One part of some data, as it was opened.

    Attributes:
        rows: its examples, a ``datasets.Dataset``.
        files: the names of the files that were read, relative to the folder that was given and in the order of the
            rows; one for each row if they are images in folders; empty for data of the hub.
        notes: what a person should know of how they were read, as sentences.
        counts: how many rows each file of rows has; empty for others.
    """

    rows: Any
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()

    def place(self, row: int) -> str:
        """Where a row stands, for messages: ``row 17``, with the file if there are several."""
        if not self.counts:
            return self.files[row] if len(self.files) == len(self.rows) else f"row {row}"
        if len(self.files) < 2:
            return f"row {row}"
        for file, count in zip(self.files, self.counts, strict=True):
            if row < count:
                return f"{file}, row {row}"
            row -= count
        raise IndexError(row)


def open_source(source: Source, data: str | None) -> dict[str, OpenedPart]:
    """A dictionary from part name to its rows and files, from wherever ``data`` points.

    Args:
        source: what is looked for.
        data: None or ``"hub"`` for its usual hub data set; another hub name; a file of rows, which is the part
            ``train``; or a folder in one of three layouts: files of rows, there or in one folder below; images in
            ``train/CLASS/`` and ``test/CLASS/``, or in ``CLASS/``; or what ``DatasetDict.save_to_disk`` wrote.

    Raises:
        AnchorlabError: if there are no such data, or they cannot be read.
    """
    if data is None or data == HUB:
        return _open_hub(source, source.hub_name)
    path = user_path(data)
    kind = kind_at(path)
    if kind == "folder":
        if path.resolve() == Path(path.resolve().anchor):  # no search through a whole machine
            raise AnchorlabError(f"{source.task}: '{path}' is the root of this machine: give the folder with the data")
        return _open_folder(source, path)
    if kind == "file":
        return {"train": _tables([path], path.parent)}
    if kind == "other":
        raise AnchorlabError(f"{source.task}: '{path}' is a pipe or a device, expected a file or a folder: give one")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", data) and not data.startswith(".") and path.suffix not in TABLES:
        return _open_hub(source, data)
    example = source.hub_name or "OWNER/NAME"
    raise AnchorlabError(
        f"{source.task}: there is no file or folder '{data}', expected one with the data or a hub name such as "
        f"{example}: correct it"
    )


def find_test(source: Source, parts: Collection[str], names: Sequence[str], where: str) -> str:
    """The name of the test part, the first one of ``names`` that is there.

    Raises:
        AnchorlabError: if there is none, or no part ``train``.
    """
    test = next((name for name in names if name in parts), None)
    if "train" not in parts or test is None:
        raise AnchorlabError(
            f"{source.task}: {where} has the parts {listed(parts)}, expected 'train' and {listed(names, ' or ')}: "
            "add or rename the missing one"
        )
    return test


def _open_hub(source: Source, name: str) -> dict[str, OpenedPart]:
    from datasets import config, load_dataset
    from huggingface_hub import HfApi

    try:
        if not config.HF_HUB_OFFLINE:
            # Without a network load_dataset retries for half a minute; one plain request fails at once.
            HfApi().dataset_info(name, timeout=10)
        parts = load_dataset(name)
    except Exception as error:  # the client raises its own, httpx's, fsspec's and the system's exceptions
        raise AnchorlabError(
            f"{source.task}: '{name}' could not be loaded from the hub ({reason(error)}): "
            "check the name and the network, or give a folder with a local copy (train-*.parquet, train.csv, "
            "train.jsonl or train/CLASS/*.png), or set HF_HUB_OFFLINE=1 if it was downloaded before"
        ) from error
    return {part: OpenedPart(parts[named]) for part, named in own_parts(parts, f"{source.task}: '{name}'").items()}


def _open_folder(source: Source, folder: Path) -> dict[str, OpenedPart]:
    layout = find_layout(folder)
    if layout is None:
        tables = [path.name for path in visible(folder) if path.suffix.lower() in TABLES]
        found = f" (it holds {listed(tables[:3])}, of which none is called so)" if tables else ""
        raise AnchorlabError(
            f"{source.task}: the folder '{folder}' holds no data, expected files such as train-*.parquet, train.csv or "
            f"train.jsonl, a folder of images for each class, or what datasets' save_to_disk wrote{found}: correct it, "
            "or give the file itself"
        )
    parts = {name: opened for part in layout.parts for name, opened in _opened(layout, part, folder).items()}
    first = next(iter(parts))
    return parts | {first: replace(parts[first], notes=parts[first].notes + layout.notes)}


def _tables(files: Sequence[Path], folder: Path) -> OpenedPart:
    rows, counts, notes = read_tables(files)
    return OpenedPart(rows, tuple(below(path, folder) for path in files), notes, counts)


def _opened(layout: Layout, part: str, folder: Path) -> dict[str, OpenedPart]:
    """What a layout says is a part; a folder that ``save_to_disk`` wrote may hold several."""
    paths = layout.parts[part]
    if layout.form == "images":
        return {part: OpenedPart(*read_class_folders(paths[0], folder))}
    return _saved(paths[0], part, folder) if paths[0].is_dir() else {part: _tables(paths, folder)}


def _saved(folder: Path, part: str, root: Path) -> dict[str, OpenedPart]:
    """What ``save_to_disk`` wrote: several parts, or rows that are the one part that is given."""
    from datasets import DatasetDict, load_from_disk

    irregular = next((path for path in files_below(folder) if not path.is_file()), None)
    if irregular is not None:
        raise AnchorlabError(f"{irregular} is no file, or a broken link: make the copy again, or give another folder")
    try:
        saved = load_from_disk(str(folder))
    except Exception as error:  # the exceptions of pyarrow and of the system have no common base
        raise AnchorlabError(
            f"the saved data in '{folder}' could not be read ({reason(error)}): make the copy again, or give another "
            "folder"
        ) from error
    if not isinstance(saved, DatasetDict):
        return {part: OpenedPart(saved, _stored_files(saved, root))}
    names = own_parts(saved, f"'{folder}'")
    return {part: OpenedPart(saved[name], _stored_files(saved[name], root)) for part, name in names.items()}


def _stored_files(rows: Any, folder: Path) -> tuple[str, ...]:
    """The names of the Arrow files of a part that ``save_to_disk`` wrote."""
    return tuple(os.path.relpath(file["filename"], folder) for file in rows.cache_files)


def data_path(given: str | None, default: Path) -> Path:
    """The folder or file with a task's data: the user's, or the default."""
    return default if given is None else user_path(given)
