"""Rows in JSON: what is a text stays one, what is a number too, and what is no row is refused with its line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.data.json_rows import read_json_rows
from tests.refusals import refused


def read(path, content: str, *more: str):
    files = [path.with_name(f"{number}{path.name}") for number in range(1 + len(more))]
    for file, text in zip(files, (content, *more), strict=True):
        file.write_text(text)
    return read_json_rows(files)


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("values", "column"),
    [
        (["1_0", "10", "01"], ["1_0", "10", "01"]),
        ([1, 2, 10], [1, 2, 10]),
        ([1, 2.5, None], [1.0, 2.5, None]),
        ([1, "1_0", True, 0.5], ["1", "1_0", "True", "0.5"]),
        ([True, False], [True, False]),
        ([2**70, 1], [str(2**70), "1"]),
        ([[1], [2, 3]], [[1], [2, 3]]),
        ([[1], "a"], ["[1]", "a"]),
        ([float("nan"), 1], [None, 1]),
    ],
)
def test_a_column_has_the_kind_that_json_says_and_mixed_kinds_are_texts(tmp_path, values, column):
    table, counts, _ = read(tmp_path / "a.jsonl", lines(*({"label": value} for value in values)))
    assert table.column("label").to_pylist() == column
    assert counts == (len(values),)


def test_mixed_kinds_are_said(tmp_path):
    notes = read(tmp_path / "a.jsonl", lines({"label": 1}, {"label": "many"}))[2]
    assert notes == ("the column 'label' mixes texts and numbers: all of it is read as texts",)


ROWS = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", lines(*ROWS)),
        ("a.jsonl", "\ufeff" + lines(*ROWS).replace("\n", "\r\n\r\n")),
        ("a.json", json.dumps(ROWS, indent=1)),
        ("a.json", lines(*ROWS)),
        ("a.json", json.dumps({"text": {"0": "a", "7": "b"}, "label": {"0": "x", "7": "y"}})),
        ("a.json", json.dumps({"text": ["a", "b"], "label": ["x", "y"]})),
    ],
)
def test_lines_lists_and_columns_are_rows(tmp_path, name, content):
    assert read(tmp_path / name, content)[0].to_pylist() == ROWS


def test_several_files_are_one_table_and_a_key_may_be_missing(tmp_path):
    table, counts, _ = read(tmp_path / "a.jsonl", lines({"a": 1}, {"a": 2}), lines({"b": "x"}))
    assert counts == (2, 1)
    assert table.to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": None}, {"a": None, "b": "x"}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", lines({"a": 1}) + "{", r"a.jsonl, line 2 is not JSON"),
        ("a.jsonl", lines({"a": 1}, [1]), r"a.jsonl, line 2 holds \[1\], expected an object"),
        ("a.jsonl", '{"a": 1, "a": 2}', "line 1 is not JSON .*the key 'a' stands in it twice"),
        ("a.jsonl", '{"a": ' + "9" * 5000 + "}", "line 1 is not JSON"),
        ("a.jsonl", "[" * 100_000, "line 1 is not JSON"),
        (
            "a.jsonl",
            lines({"a": "b"}) + '{"a": "\\ud800"}',
            r"a.jsonl, row 1 has half a sign \('\\ud800'\) in the column 'a'",
        ),
        ("a.json", json.dumps([1]), "row 0 is 1, expected an object"),
        ("a.json", json.dumps({"version": 1, "data": ROWS}), "expected a list of objects, or columns of one length"),
        ("a.json", json.dumps({"a": [1], "b": [1, 2]}), "expected a list of objects, or columns of one length"),
        ("a.json", "{}", "expected a list of objects"),
        ("a.json", '[{"a": 1},\n{"a": }]', "line 2 is not JSON"),
    ],
)
def test_what_is_no_row_is_refused_with_its_place(tmp_path, name, content, message):
    refused(message, read, tmp_path / name, content)


TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=6), min_size=1)


@given(TEXTS)
def test_every_text_is_read_back(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"
    assert read(path, lines(*({"label": text} for text in texts)))[0].column("label").to_pylist() == texts
