"""A CSV file is rectangular, starts nothing in a spreadsheet, and gives back what was written."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.statistics.comma_separated import cell, frame_csv, line, original, read_csv
from tests.hostile import HOSTILE, any_text

storable = any_text.filter(lambda text: not re.search("[\0\ud800-\udfff]", text))


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"), ("+x", "'+x"), ("-x", "'-x"), ("@x", "'@x"), ("\t=1", "'\t=1"), ("\rx", "'\rx"),
        (" =1", "' =1"), ("＝1", "'＝1"), ("'x", "''x"), ("-1", "-1"), ("+1.5e-3", "+1.5e-3"), ("-1-1", "'-1-1"),
        ("a=b", "a=b"), ("", ""),
        ("−1", "−1"), ("–", "–"), ("no\udcffutf", r"no\udcffutf"),
    ],
)  # fmt: skip
def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text: str, written: str) -> None:
    assert cell(text) == written


@pytest.mark.parametrize(
    ("value", "written"), [(-1.5, "-1.5"), (-3, "-3"), (True, "True"), (None, ""), (1e-5, "1e-05")]
)
def test_numbers_stay_numbers(value: object, written: str) -> None:
    assert cell(value) == written


@given(st.lists(st.lists(any_text, min_size=3, max_size=3), min_size=1, max_size=4))
def test_any_texts_make_a_rectangle_in_which_nothing_runs(rows: list[list[str]]) -> None:
    read = rows_of("".join(map(line, rows)))
    assert [len(row) for row in read] == [3] * len(rows)
    number = re.compile(r"[+-]?[\d.]+([eE][+-]?\d+)?")
    for content in (content for row in read for content in row):
        assert content[:1] not in tuple("=+-@\t\r\n") or number.fullmatch(content)


@given(storable)
def test_every_text_reads_back(text: str) -> None:
    ((read, other),) = rows_of(line([text, "x"]))
    assert (original(read), other) == (text, "x")


@given(
    st.lists(st.floats(), min_size=2, max_size=5),
    st.lists(st.integers(-(2**60), 2**60), min_size=2, max_size=5),
    st.lists(st.none() | st.sampled_from(["a", "b, c", 'd "e"', "f\ng", "0.5"]), min_size=2, max_size=5),
)
def test_a_frame_of_ordinary_values_is_written_as_pandas_does(floats, integers, words) -> None:
    length = min(map(len, (floats, integers, words)))
    frame = pd.DataFrame(
        {
            "float": floats[:length],
            "float32": np.float32(0.1),
            "integer": integers[:length],
            "optional": pd.array(integers[:length], dtype="Int64"),
            "yes": True,
            "words": words[:length],
        }
    )
    frame.loc[1, "optional"] = pd.NA
    assert frame_csv(frame) == frame.to_csv(index=False, lineterminator="\n")


def test_an_empty_frame_has_its_heads() -> None:
    assert frame_csv(pd.DataFrame(columns=["a", "=b"])) == "a,'=b\n"


def test_a_frame_reads_back_with_its_hostile_texts(tmp_path: Path) -> None:
    texts = [text for text in HOSTILE if not re.search("[\0\ud800-\udfff]", text)]
    frame = pd.DataFrame({"=head": texts, "value": np.arange(len(texts)) - 5.5})
    file = tmp_path / "frame.csv"
    file.write_bytes(frame_csv(frame).encode())
    pd.testing.assert_frame_equal(read_csv(file), frame)
