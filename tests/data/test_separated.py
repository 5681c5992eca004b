"""Rows with commas or tabs between their fields: every row is read as it is spelled, or refused with its line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchorlab.data.separated import LONGEST_CELL, read_separated
from tests.refusals import refused


def read(path, content: str | bytes, separator: str = ","):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    table, notes = read_separated(path, separator)
    return [tuple(row.values()) for row in table.to_pylist()], table.column_names, notes


def test_fields_keep_their_spelling(tmp_path):
    rows, names, notes = read(tmp_path / "a.csv", "text,label\n012,1.0\nNA,\n true ,1_0\n")
    assert (rows, names, notes) == ([("012", "1.0"), ("NA", ""), (" true ", "1_0")], ["text", "label"], ())


def test_quoted_fields_hold_commas_quotes_and_lines(tmp_path):
    content = 'text,label\r\n"a, ""b""\r\nc",x\r\n\r\nsaid "so",y\r\n'
    rows, _, notes = read(tmp_path / "a.csv", b"\xef\xbb\xbf" + content.encode())
    assert rows == [('a, "b"\r\nc', "x"), ('said "so"', "y")]
    assert notes == ("1 of 2 rows of a.csv run over several lines, up to 2",)


def test_between_tabs_a_quote_is_a_sign_like_any_other(tmp_path):
    rows, _, notes = read(tmp_path / "a.tsv", 'text\tlabel\n"never closed\tx\n"closed"\ty\n\'a\tz\n', "\t")
    assert rows == [('"never closed', "x"), ('"closed"', "y"), ("'a", "z")]
    assert notes == ("1 field of a.tsv stands in quotation marks, which are kept: tab-separated text has no quoting",)


def test_an_unnamed_column_is_named_by_its_place(tmp_path):
    rows, names, _ = read(tmp_path / "a.csv", ",text,label\n0,a,x\n")
    assert (rows, names) == ([("0", "a", "x")], ["Unnamed: 0", "text", "label"])


def test_a_long_field_on_one_line_is_read(tmp_path):
    long = "a" * 200_000
    assert read(tmp_path / "a.csv", f"text,label\n{long},x\n")[0] == [(long, "x")]
    assert csv.field_size_limit() < 200_000  # the limit of the process is as before


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\na,x\nb\n", r"line 3 has 1 field \('b'\), expected 2 as in its first line"),
        ("text,label\na,x\n\nb,y,z\n", r"line 4 has 3 fields .*, expected 2"),
        ("text,label\na,x\nb,\ry\n", "line 4 has 1 field"),
        ("text;label\na;x\n", "has one column, 'text;label', expected texts or images and labels with a"),
        ("", "is empty, expected rows below the names of the columns"),
        (b"text,label\na,x\ncaf\xe9,y\n", r"is not UTF-8 text \(line 3, byte 18: "),
        ("text,label\na,x\n".encode("utf-16"), r"is not UTF-8 text \(line 1, byte 0"),
        (b"text,label\na\0,x\n", r"holds a zero byte \(line 2, byte 12\)"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line_or_byte(tmp_path, content, message, separator):
    if isinstance(content, str):
        content = content.encode()
    content = content.replace(b",", separator.encode())
    refused(f"a.txt,? {message}", read, tmp_path / "a.txt", content, separator)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('text,label\na,x\n"b,y\nc,z\n', "line 3 cannot be read .*opens a quotation mark that is not closed"),
        ('text,label\n"a" b,x\n', "line 2 cannot be read"),
        (f'text,label\n"a\n{"b" * LONGEST_CELL}",x\n', "line 2 begins a field of 32,769 characters over several lines"),
    ],
)
def test_quotes_that_swallow_rows_are_refused(tmp_path, content, message):
    refused(f"a.csv, {message}", read, tmp_path / "a.csv", content)


FIELDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@given(st.lists(st.tuples(FIELDS, FIELDS), min_size=1))
def test_what_python_writes_is_read_back(tmp_path_factory, rows):
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("text", "label"), *rows])
    assert read(tmp_path_factory.mktemp("csv") / "a.csv", out.getvalue())[0] == rows


LINES = st.text(st.characters(codec="utf-8", exclude_characters="\0\t\r\n"), max_size=8)


@given(st.lists(st.tuples(LINES, LINES), min_size=1))
def test_tab_separated_lines_are_rows_whatever_is_in_them(tmp_path_factory, rows):
    content = "".join(f"{text}\t{label}\n" for text, label in [("text", "label"), *rows])
    assert read(tmp_path_factory.mktemp("tsv") / "a.tsv", content, "\t")[0] == rows


@pytest.mark.parametrize(("first", "separator"), [("sep=,", ","), ("sep=;", ","), ("SEP=\t", "\t")])
def test_the_line_that_tells_excel_the_separator_is_refused(tmp_path: Path, first: str, separator: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text(f"{first}\ntext{separator}label\na film{separator}x\n")
    refused("begins with .(sep|SEP)=.*which tells Excel.*remove that line", read_separated, file, separator)
