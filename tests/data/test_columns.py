"""Columns of texts, images and labels: which are there, and what is refused of them."""

from __future__ import annotations

import json

import pytest

from anchorlab.data import DataColumns, load_task
from tests.data.copies import STARS, frame, image_folder, refused, written


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
    lines = [json.dumps({"review": f"word {n}", "stars": "many" if n % 3 == 0 else 1}) for n in range(30)]
    (tmp_path / "mixed.jsonl").write_text("\n".join(lines))
    assert load_task(str(tmp_path / "mixed.jsonl"), columns=STARS).classes == ("1", "many")
    table = frame()
    table.loc[table["stars"] == 2, "stars"] = 5
    refused("has the labels 1, 3, 5, which leave numbers out", written(tmp_path / "gaps.csv", table))
