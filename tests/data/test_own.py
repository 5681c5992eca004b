"""The user's own data: files of rows, folders and images, read back, cut, or refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from anchorlab.data import DataColumns, load_task
from anchorlab.errors import AnchorlabError

WORDS = ["good", "bad", "long", "short", "film", "plot"]
STARS = DataColumns(text="review", label="stars")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


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


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json", ".parquet"])
def test_a_file_of_rows_is_read_and_cut(tmp_path, suffix):
    path = written(tmp_path / f"reviews{suffix}", frame())
    task = load_task(str(path), columns=STARS)
    assert (task.name, task.kind, task.classes) == ("reviews", "text", ("1", "2", "3"))
    sizes = {name: len(at) for name, at in task.indices.items()}
    assert sum(sizes.values()) == 100
    assert sizes["test"] == 21  # 7 of 34, 33 and 33
    everything = [text for name in sizes for text in task.split(name).texts]
    assert sorted(everything) == sorted(frame()["review"])
    stars = dict(zip(frame()["review"], frame()["stars"], strict=True))
    for name in sizes:
        split = task.split(name)
        assert [int(task.classes[label]) for label in split.labels] == [stars[text] for text in split.texts]


def test_the_test_part_is_cut_by_the_seed(tmp_path):
    path = str(written(tmp_path / "reviews.csv", frame()))
    first, again, other = (load_task(path, columns=STARS, seed=seed).split("test").texts for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("test_name", ["test", "validation", "dev"])
def test_a_folder_with_a_test_part_keeps_it(tmp_path, test_name):
    written(tmp_path / "data/train.csv", frame())
    written(tmp_path / f"data/{test_name}.jsonl", frame(9, start=500))
    task = load_task(str(tmp_path / "data"), columns=STARS, seed=3)
    assert list(task.split("test").texts) == list(frame(9, start=500)["review"])
    assert len(task.raw.train) == 100


def test_only_empty_cells_are_missing(tmp_path):
    table = frame()
    table["review"] = "NA"
    task = load_task(str(written(tmp_path / "reviews.csv", table)), columns=STARS)
    assert set(task.split("owner").texts) == {"NA"}


def test_it_comes_back_from_its_record(tmp_path):
    from anchorlab.artifacts.manifest import task_record

    path = written(tmp_path / "reviews.csv", frame())
    record = task_record(load_task(str(path), columns=STARS, seed=2))
    assert record.data == str(path)
    again = load_task(record.name, seed=record.seed, data=record.data, columns=DataColumns(**record.columns))
    assert again.hashes() == record.splits


def pictures(folder: Path, count: int = 30, *, size: int = 8, mode: str = "L", classes: int = 2) -> None:
    for number in range(count):
        path = folder / f"class{number % classes}" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(path)


def test_a_folder_of_images_is_read_and_cut(tmp_path):
    pictures(tmp_path / "shapes")
    task = load_task(str(tmp_path / "shapes"), columns=DataColumns(image="image"))
    assert (task.kind, task.classes) == ("image", ("class0", "class1"))
    assert task.split("test").inputs["pixel_values"].shape == (6, 1, 8, 8)
    everything = torch.cat([task.split(name).inputs["pixel_values"] for name in task.indices])
    expected = {np.array(Image.open(path)).tobytes() for path in (tmp_path / "shapes").rglob("*.png")}
    assert {image.numpy().tobytes() for image in everything} == expected


def test_images_of_several_modes_are_taken_in_colour(tmp_path):
    for mode in ("L", "RGB", "RGBA", "P"):
        pictures(tmp_path / "mixed" / "train" / mode, 20, mode=mode, classes=1)
    parts = tmp_path / "mixed" / "train"
    for mode in ("L", "RGB", "RGBA", "P"):
        for path in (parts / mode / "class0").iterdir():
            path.rename(parts / mode / path.name)
        (parts / mode / "class0").rmdir()
    task = load_task(str(tmp_path / "mixed"), columns=DataColumns(image="image"))
    assert task.raw.train.inputs["pixel_values"].shape[1:] == (3, 8, 8)
    assert task.classes == ("L", "P", "RGB", "RGBA")


def refused(message: str, path: Path, columns: DataColumns = STARS) -> None:
    with pytest.raises(AnchorlabError, match=message) as caught:
        load_task(str(path), columns=columns)
    assert "\n" not in str(caught.value)


def test_a_column_that_does_not_exist_is_named_with_those_that_do(tmp_path):
    path = written(tmp_path / "reviews.csv", frame())
    refused("has no column 'text': it has 'review', 'stars', 'other'", path, DataColumns(text="text", label="stars"))
    refused("has no column 'label': it has 'review'", path, DataColumns(text="review"))
    pictures(tmp_path / "shapes")
    refused("has no column 'picture': it has 'image', 'label'", tmp_path / "shapes", DataColumns(image="picture"))


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_text_is_named_with_its_row(tmp_path, text):
    table = frame()
    table.loc[17, "review"] = text
    refused("row 17 holds .* in the column 'review', expected words", written(tmp_path / "reviews.csv", table))


def test_missing_and_mixed_labels_are_named(tmp_path):
    table = frame().astype({"stars": object})
    table.loc[5, "stars"] = None
    refused("row 5 has no label", written(tmp_path / "missing.csv", table))
    lines = [json.dumps({"review": f"word {n}", "stars": "many" if n == 3 else 1}) for n in range(30)]
    (tmp_path / "mixed.jsonl").write_text("\n".join(lines))
    refused("mixed.jsonl", tmp_path / "mixed.jsonl")
    table = frame()
    table.loc[table["stars"] == 2, "stars"] = 5
    refused("has the labels 1, 3, 5, which leave numbers out", written(tmp_path / "gaps.csv", table))


def test_bytes_that_are_no_utf8_are_named(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_bytes(b"review,stars\ncaf\xe9,1\n")
    refused("reviews.csv is not UTF-8 text", path)


@pytest.mark.parametrize("content", [b"", b'{"review": ', b"\x00\x01"])
def test_damaged_rows_are_named(tmp_path, content):
    path = tmp_path / "reviews.jsonl"
    path.write_bytes(content)
    refused("reviews.jsonl", path)


def test_images_of_several_sizes_are_refused(tmp_path):
    pictures(tmp_path / "shapes", 10)
    pictures(tmp_path / "shapes", 4, size=9)
    refused(
        "but the first one is .*: bring all images to one size first", tmp_path / "shapes", DataColumns(image="image")
    )


def test_a_corrupt_image_is_named(tmp_path):
    pictures(tmp_path / "shapes", 10)
    path = tmp_path / "shapes/class0/000.png"
    path.write_bytes(path.read_bytes()[:60])
    refused("holds an image that cannot be decoded", tmp_path / "shapes", DataColumns(image="image"))


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "reviews.docx").write_bytes(b"PK")
    refused(
        "is no file of rows that can be read: give one that ends in '.parquet' or '.csv'", tmp_path / "reviews.docx"
    )


def test_own_data_need_columns_and_named_tasks_do_not(tmp_path):
    path = written(tmp_path / "reviews.csv", frame())
    with pytest.raises(AnchorlabError, match="say what its columns are: --text-column"):
        load_task(str(path))
    with pytest.raises(AnchorlabError, match="the task digits has columns of its own"):
        load_task("digits", columns=STARS)
    with pytest.raises(AnchorlabError, match="one of them"):
        DataColumns(label="stars")
    with pytest.raises(AnchorlabError, match="one of them"):
        DataColumns(text="review", image="image")
    refused("there is no file or folder 'nowhere.csv'", Path("nowhere.csv"))
