"""Files of rows: what is missing in them, and what cannot be read."""

from __future__ import annotations

import pytest

from anchorlab.data import load_task
from tests.data.copies import STARS, frame, refused, written


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
