"""Where data are: a file or folder of this machine, or the hub; each part opens as a ``datasets.Dataset``."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from anchorlab.errors import AnchorlabError, reason

#: What a user gives as ``--data`` to download a task whose data are usually elsewhere.
HUB = "hub"

Layout = Literal["saved", "tables", "imagefolder"]

#: Files of rows; each is a part, named by what its name begins with, as in ``train-00000-of-00001.parquet``.
TABLES = (".parquet", ".csv", ".tsv", ".jsonl", ".json")

_PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"}


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
    """

    rows: Any
    files: tuple[str, ...] = ()


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
    path = Path(data).expanduser()
    if path.is_dir():
        return _open_folder(source, path)
    if path.is_file():
        return {"train": OpenedPart(_open_tables(source, [path]), (path.name,))}
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


def local_layout(folder: Path) -> Layout | None:
    """How the data in a folder are stored; None if it is none of the layouts that can be read."""
    if (folder / "dataset_dict.json").is_file():
        return "saved"
    if _tables(folder):
        return "tables"
    if (folder / "train").is_dir() or any(path.suffix.lower() in _PICTURES for path in folder.glob("*/*")):
        return "imagefolder"
    return None


def _open_hub(source: Source, name: str) -> dict[str, OpenedPart]:
    from datasets import config, load_dataset
    from huggingface_hub import HfApi

    try:
        if not config.HF_HUB_OFFLINE:
            # Without a network load_dataset retries for half a minute; one plain request fails at once.
            HfApi().dataset_info(name, timeout=10)
        return {part: OpenedPart(rows) for part, rows in load_dataset(name).items()}
    except Exception as error:  # the client raises its own, httpx's, fsspec's and the system's exceptions
        raise AnchorlabError(
            f"{source.task}: '{name}' could not be loaded from the hub ({reason(error)}): "
            "check the name and the network, or give a folder with a local copy (train-*.parquet, train.csv, "
            "train.jsonl or train/CLASS/*.png), or set HF_HUB_OFFLINE=1 if it was downloaded before"
        ) from error


def _open_folder(source: Source, folder: Path) -> dict[str, OpenedPart]:
    from datasets import load_dataset, load_from_disk

    layout = local_layout(folder)
    if layout is None:
        raise AnchorlabError(
            f"{source.task}: the folder '{folder}' holds no data, expected files such as train-*.parquet, train.csv or "
            "train.jsonl, folders train/CLASS/ of images, or what datasets' save_to_disk wrote: correct it"
        )
    if layout == "tables":
        return {
            part: OpenedPart(_open_tables(source, files), tuple(str(path.relative_to(folder)) for path in files))
            for part, files in _tables(folder).items()
        }
    try:
        if layout == "saved":
            saved = load_from_disk(str(folder))
            return {part: OpenedPart(rows, _stored_files(rows, folder)) for part, rows in saved.items()}
        images = load_dataset("imagefolder", data_dir=str(folder), drop_labels=False)
        return {part: OpenedPart(rows, _image_files(rows, folder)) for part, rows in images.items()}
    except Exception as error:  # pyarrow's, PIL's and the builder's own exceptions have no common base
        raise AnchorlabError(
            f"{source.task}: the {layout} data in '{folder}' could not be read ({reason(error)}): "
            "make the copy again, or give another folder"
        ) from error


def _stored_files(rows: Any, folder: Path) -> tuple[str, ...]:
    """The names of the Arrow files of a part that ``save_to_disk`` wrote."""
    return tuple(str(Path(file["filename"]).relative_to(folder)) for file in rows.cache_files)


def _image_files(rows: Any, folder: Path) -> tuple[str, ...]:
    """The name of each row's image."""
    from datasets import Image

    stored = rows.cast_column("image", Image(decode=False))["image"][:] if "image" in rows.column_names else []
    return tuple(os.path.relpath(image["path"], folder) for image in stored if image["path"])


def _tables(folder: Path) -> dict[str, list[Path]]:
    """Part name to its files."""
    files: dict[str, list[Path]] = {}
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        part = path.stem.split("-")[0]
        if path.suffix in TABLES and (path.suffix == ".parquet" or part in _PARTS):
            files.setdefault(part, []).append(path)
    return files


#: Names by which files of rows other than parquet are taken for parts, because folders hold such files of all kinds.
_PARTS = ("train", "test", "valid", "validation", "val", "dev")


def _open_tables(source: Source, files: list[Path]) -> Any:
    """The rows of some files as one data set."""
    from datasets import Dataset, concatenate_datasets, load_dataset

    first = files[0]
    try:
        if all(path.suffix == ".parquet" for path in files):
            return load_dataset("parquet", data_files={"part": [str(path) for path in files]}, split="part")
        return concatenate_datasets([Dataset.from_pandas(_frame(path), preserve_index=False) for path in files])
    except AnchorlabError:
        raise
    except UnicodeDecodeError as error:
        raise AnchorlabError(
            f"{source.task}: {first} is not UTF-8 text (byte {error.start}: {error.reason}): save it as UTF-8"
        ) from error
    except Exception as error:  # pandas', pyarrow's and the builder's own exceptions have no common base
        raise AnchorlabError(
            f"{source.task}: {first} could not be read ({reason(error)}): repair it, or give another file"
        ) from error


def _frame(path: Path) -> Any:
    import pandas as pd

    if path.suffix in (".csv", ".tsv"):
        # Only an empty cell is a missing one: 'NA' and 'null' are words.
        return pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", keep_default_na=False, na_values=[""])
    if path.suffix in (".jsonl", ".json"):
        return pd.read_json(path, lines=path.suffix == ".jsonl", convert_dates=False)
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    raise AnchorlabError(
        f"{path} is not a file of rows: give one that ends in {listed(TABLES, ' or ')}, a folder, or a hub name"
    )


def data_path(given: str | None, default: Path) -> Path:
    """The folder or file with a task's data: the user's, or the default."""
    return default if given is None else Path(given).expanduser()


def listed(names: Iterable[str], between: str = ", ") -> str:
    """Names in quotes."""
    return between.join(f"'{name}'" for name in names) or "none"
