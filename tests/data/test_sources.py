"""Files of rows: what is missing in them, and what cannot be read."""

from __future__ import annotations

import pytest

from anchorlab.data import load_task
from anchorlab.data.sources import Source, open_source
from tests.data.copies import STARS, cifar_parts, frame, image_folder, refused, written


def test_only_empty_cells_are_missing(tmp_path):
    table = frame()
    table["review"] = "NA"
    task = load_task(str(written(tmp_path / "reviews.csv", table)), columns=STARS)
    assert set(task.split("owner").texts) == {"NA"}


def test_bytes_that_are_no_utf8_are_named(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_bytes(b"review,stars\ncaf\xe9,1\n")
    refused("reviews.csv is not UTF-8 text", path)


@pytest.mark.parametrize("content", [b"", b'{"review": ', b"\x00\x01"])
def test_damaged_rows_are_named(tmp_path, content):
    path = tmp_path / "reviews.jsonl"
    path.write_bytes(content)
    refused("reviews.jsonl", path)


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "reviews.docx").write_bytes(b"PK")
    refused("is not a file of rows: give one that ends in '.parquet' or '.csv'", tmp_path / "reviews.docx")


def opened(path):
    return open_source(Source(task="mine"), str(path))


def test_each_part_says_which_files_were_read(tmp_path):
    written(tmp_path / "data/train.csv", frame(30))
    written(tmp_path / "data/test.csv", frame(6))
    assert {name: part.files for name, part in opened(tmp_path / "data").items()} == {
        "train": ("train.csv",),
        "test": ("test.csv",),
    }
    assert opened(tmp_path / "data/test.csv")["train"].files == ("test.csv",)
    image_folder(tmp_path / "shapes", 4)
    assert opened(tmp_path / "shapes")["train"].files == (
        "class0/000.png",
        "class0/002.png",
        "class1/001.png",
        "class1/003.png",
    )
    cifar_parts().save_to_disk(str(tmp_path / "saved"))
    assert opened(tmp_path / "saved")["test"].files == ("test/data-00000-of-00001.arrow",)
