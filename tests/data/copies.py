"""Small local copies of data: of the hub's columns, and files and folders as users have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from PIL import Image as Pictures

from anchorlab.data import DataColumns, load_task
from tests import refusals

CIFAR_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
TRAIN_LABELS, TEST_LABELS = [6, 9, 9], [3, 8]
WORDS = ["good", "bad", "long", "short", "film", "plot"]
STARS = DataColumns(text="review", label="stars")


def pixels(count: int, size: int = 32, channels: int = 3, start: int = 0) -> torch.Tensor:
    """uint8 ``[count, channels, size, size]`` in which rows, columns and channels all differ."""
    values = torch.arange(count * channels * size * size) * 7 + start
    return (values % 251).to(torch.uint8).view(count, channels, size, size)


def pictures(images: torch.Tensor) -> list[Pictures.Image]:
    """PIL images of ``[N, C, H, W]``; one channel gives grey images."""
    return [Pictures.fromarray(image.permute(1, 2, 0).squeeze(2).numpy()) for image in images]


def cifar_part(images: torch.Tensor, labels: list[int], *, column: str = "img", label: Any = None) -> Dataset:
    features = Features({column: Image(), "label": label or ClassLabel(names=CIFAR_NAMES)})
    return Dataset.from_dict({column: pictures(images), "label": labels}, features=features)


def cifar_parts(**keywords: Any) -> DatasetDict:
    return DatasetDict(
        train=cifar_part(pixels(3), TRAIN_LABELS, **keywords),
        test=cifar_part(pixels(2, start=99), TEST_LABELS, **keywords),
    )


def write_parquet(parts: DatasetDict, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        part.to_parquet(str(folder / f"{name}-00000-of-00001.parquet"))


def text_parts(column: str, names: list[str], test: str, *, label: object = None) -> DatasetDict:
    features = Features({column: Value("string"), "label": label or ClassLabel(names=names), "idx": Value("int32")})

    def part(count: int) -> Dataset:
        rows = {column: [f"text {n}" for n in range(count)], "label": [n % len(names) for n in range(count)]}
        return Dataset.from_dict({**rows, "idx": list(range(count))}, features=features)

    return DatasetDict({"train": part(60), test: part(12)})


def frame(count: int = 100, start: int = 0) -> pd.DataFrame:
    reviews = [f"{WORDS[n % 6]} {WORDS[n % 5]} number {n}" for n in range(start, start + count)]
    return pd.DataFrame({"review": reviews, "stars": [1 + n % 3 for n in range(count)], "other": "NA"})


def written(path: Path, table: pd.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".tsv":
        table.to_csv(path, index=False, sep="\t")
    elif path.suffix == ".jsonl":
        table.to_json(path, orient="records", lines=True)
    elif path.suffix == ".json":
        table.to_json(path, orient="records")
    else:
        table.to_parquet(path)
    return path


def image_folder(folder: Path, count: int = 30, *, size: int = 8, mode: str = "L", classes: int = 2) -> None:
    for number in range(count):
        path = folder / f"class{number % classes}" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (size, size, 3), dtype=np.uint8)
        Pictures.fromarray(pixels).convert(mode).save(path)


def refused(message: str, path: Path, columns: DataColumns = STARS) -> None:
    """A file or folder of the user's own is refused."""
    refusals.refused(message, load_task, str(path), columns=columns)
