"""The user's own data: files of rows, folders and images, read back, cut, and found again from a record."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image

from anchorlab.data import DataColumns, load_task
from anchorlab.errors import AnchorlabError
from tests.data.copies import STARS, frame, image_folder, refused, written


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


def test_it_comes_back_from_its_record(tmp_path):
    from anchorlab.artifacts.manifest import task_record

    path = written(tmp_path / "reviews.csv", frame())
    record = task_record(load_task(str(path), columns=STARS, seed=2))
    assert record.data == str(path)
    again = load_task(record.name, seed=record.seed, data=record.data, columns=DataColumns(**record.columns))
    assert again.hashes() == record.splits


def test_a_folder_of_images_is_read_and_cut(tmp_path):
    image_folder(tmp_path / "shapes")
    task = load_task(str(tmp_path / "shapes"), columns=DataColumns(image="image"))
    assert (task.kind, task.classes) == ("image", ("class0", "class1"))
    assert task.split("test").inputs["pixel_values"].shape == (6, 1, 8, 8)
    everything = torch.cat([task.split(name).inputs["pixel_values"] for name in task.indices])
    expected = {np.array(Image.open(path)).tobytes() for path in (tmp_path / "shapes").rglob("*.png")}
    assert {image.numpy().tobytes() for image in everything} == expected


def test_own_data_need_columns_where_there_is_a_doubt_and_named_tasks_do_not(tmp_path):
    path = written(tmp_path / "reviews.csv", frame().rename(columns={"stars": "first"}).assign(second="x"))
    with pytest.raises(AnchorlabError, match="so name them, by --text-column or --image-column, and --label-column"):
        load_task(str(path))
    with pytest.raises(AnchorlabError, match="name the columns: --text-column"):
        load_task("owner/reviews")
    with pytest.raises(AnchorlabError, match="the task digits has columns of its own"):
        load_task("digits", columns=STARS)
    with pytest.raises(AnchorlabError, match="one of them"):
        DataColumns(label="stars")
    with pytest.raises(AnchorlabError, match="one of them"):
        DataColumns(text="review", image="image")
    refused("there is no file or folder 'nowhere.csv'", Path("nowhere.csv"))


def test_data_that_changed_on_the_disk_are_read_again(tmp_path):
    path = written(tmp_path / "data" / "train.csv", frame())
    load = partial(load_task, str(tmp_path / "data"), columns=STARS)
    first = load()
    assert load().raw is first.raw
    written(path, frame(110))
    assert len(load().raw.train) > len(first.raw.train)
    path.rename(tmp_path / "data" / "test.csv")
    written(path, frame())
    assert len(load().raw.test) == 110


def test_a_pipe_in_a_saved_folder_is_refused(tmp_path):
    Dataset.from_pandas(frame()).save_to_disk(str(tmp_path / "a"))
    data = next((tmp_path / "a").glob("*.arrow"))
    data.unlink()
    os.mkfifo(data)
    refused("data-00000-of-00001.arrow is no file", tmp_path / "a")


def test_parts_may_be_saved_each_in_a_folder_of_its_name(tmp_path):
    for name in ("train", "val"):
        Dataset.from_pandas(frame(60)).with_format("torch").save_to_disk(str(tmp_path / "a" / name))
    raw = load_task(str(tmp_path / "a"), columns=STARS).raw
    assert [(part.part, part.files) for part in raw.reading] == [
        ("train", ("train/data-00000-of-00001.arrow",)),
        ("validation", ("val/data-00000-of-00001.arrow",)),
    ]


def test_what_was_not_read_is_said(tmp_path):
    for name in ("train", "test", "val", "more"):
        written(tmp_path / f"a/{name}.csv", frame(30))
    notes = load_task(str(tmp_path / "a"), columns=STARS).raw.reading[0].notes
    assert notes == ("not read: 'more.csv', no part by name", "not read: the part 'validation'")
