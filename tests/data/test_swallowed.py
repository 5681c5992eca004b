"""A quotation mark opens by mistake, a later one closes, and the rows between have become one text: that is refused."""

from __future__ import annotations

import pytest

from anchorlab.data import DataColumns, load_task
from tests.data.copies import refused

COLUMNS = DataColumns(text="text", label="label")
ROWS = {
    "text,label": "one,yes\ntwo,no\n",
    "label,text": "yes,one\nno,two\n",
    "id,text,label,more": "1,one,yes,\n2,two,no,\n",
}
SWALLOWED = {
    "text,label": ('"three,yes\n', 'four",no\n'),
    "label,text": ('yes,"three\n', 'no,four"\n'),
    "id,text,label,more": ('3,"three,yes,\n', '4,four",no,\n'),
}


@pytest.mark.parametrize("between", [0, 1, 20])
@pytest.mark.parametrize("header", ROWS)
def test_a_text_that_swallowed_rows_is_refused(tmp_path, header, between):
    rows, (first, last) = ROWS[header] * 20, SWALLOWED[header]
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\n{rows}{first}{ROWS[header] * between}{last}{rows}")
    refused(f"row 40 holds a text of {2 + 2 * between} lines that look like rows, such as 'three", path, COLUMNS)


@pytest.mark.parametrize(
    "text", ["no, thanks\nyes", "Dear all,\nno, thanks\nyes, bye", "no,\n", "yes\nno", "a,b\nc,yes\nd"]
)
def test_texts_of_several_lines_are_read_and_counted(tmp_path, text):
    path = tmp_path / "a.csv"
    path.write_text(f'text,label\n{ROWS["text,label"] * 20}"{text}",no\n')
    raw = load_task(str(path), columns=COLUMNS).raw
    assert text in raw.train.texts + raw.test.texts
    lines = len(text.splitlines()) + text.endswith("\n")
    assert raw.reading[0].notes == (f"1 of 41 rows of a.csv run over several lines, up to {lines}",)
