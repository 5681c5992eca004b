"""Columns of texts, images and labels: which are there, and what is refused of them."""

from __future__ import annotations

import json

import pytest

from anchorlab.data import DataColumns, load_task
from tests.data.copies import frame, image_folder, refused, written


def test_images_of_several_modes_are_taken_in_colour(tmp_path):
    for mode in ("L", "RGB", "RGBA", "P"):
        image_folder(tmp_path / "mixed" / "train" / mode, 20, mode=mode, classes=1)
    parts = tmp_path / "mixed" / "train"
    for mode in ("L", "RGB", "RGBA", "P"):
        for path in (parts / mode / "class0").iterdir():
            path.rename(parts / mode / path.name)
        (parts / mode / "class0").rmdir()
    task = load_task(str(tmp_path / "mixed"), columns=DataColumns(image="image"))
    assert task.raw.train.inputs["pixel_values"].shape[1:] == (3, 8, 8)
    assert task.classes == ("L", "P", "RGB", "RGBA")


def test_a_column_that_does_not_exist_is_named_with_those_that_do(tmp_path):
    path = written(tmp_path / "reviews.csv", frame())
    refused("has no column 'text': it has 'review', 'stars', 'other'", path, DataColumns(text="text", label="stars"))
    refused("has no column 'label': it has 'review'", path, DataColumns(text="review"))
    image_folder(tmp_path / "shapes")
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


def test_images_of_several_sizes_are_refused(tmp_path):
    image_folder(tmp_path / "shapes", 10)
    image_folder(tmp_path / "shapes", 4, size=9)
    refused(
        "but the first one is .*: bring all images to one size first", tmp_path / "shapes", DataColumns(image="image")
    )


def test_a_corrupt_image_is_named(tmp_path):
    image_folder(tmp_path / "shapes", 10)
    path = tmp_path / "shapes/class0/000.png"
    path.write_bytes(path.read_bytes()[:60])
    refused("holds an image that cannot be decoded", tmp_path / "shapes", DataColumns(image="image"))
