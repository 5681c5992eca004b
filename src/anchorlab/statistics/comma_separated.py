"""CSV files that a spreadsheet opens without running anything in them, and that read back as they were.

A text that a spreadsheet would take for a formula gets an apostrophe in front, and so does one that begins with an
apostrophe. `read_csv` and `original` take it away again. Numbers are written as they are, negative ones too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anchorlab.errors import printable

if TYPE_CHECKING:
    import pandas as pd

#: What a spreadsheet reads as the beginning of a formula, full-width forms too; spaces before it do not help.
_FORMULA = re.compile(r"[\s\ufeff\u200b]*[=+\-@＝＋－＠]|[\t\r\n']")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_QUOTED = re.compile(r'[",\r\n]')
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")


def cell(value: object) -> str:
    """A value as the content of a cell, before quoting; None is empty.

    Half a surrogate pair, as in a file name that is no UTF-8, and NUL are written as their codes, because no file of
    text can hold them.
    """
    if not isinstance(value, str):
        return "" if value is None else str(value)
    text = _UNWRITABLE.sub(lambda found: printable(found.group()), value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def original(content: str) -> str:
    """The text that `cell` wrote."""
    return content.removeprefix("'")


def line(values: Iterable[object]) -> str:
    """A line of a CSV file, with its end."""
    return f"{','.join(_quoted(cell(value)) for value in values)}\n"


def frame_csv(frame: pd.DataFrame) -> str:
    """A frame as a CSV file, without its index."""
    columns = [_cells(frame.iloc[:, position]) for position in range(frame.shape[1])]
    rows = (f"{','.join(row)}\n" for row in zip(*columns, strict=True))
    return "".join([line(frame.columns), *rows])


def _cells(column: pd.Series[Any]) -> list[str]:
    import numpy as np  # only where a frame is written, because tables of texts alone come at once

    missing = column.isna().tolist()
    values = column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array  # not lists: float32 stays short
    return ["" if absent else _quoted(cell(value)) for absent, value in zip(missing, values, strict=True)]


def read_csv(path: str | Path) -> pd.DataFrame:
    """A CSV file of ours as a frame, with its texts as they were before they were written.

    Columns are numbers where all values are; an empty cell is missing.
    """
    import pandas as pd

    frame = pd.read_csv(path)
    frame.columns = [original(str(name)) for name in frame.columns]
    for name in frame:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            frame[name] = frame[name].map(original, na_action="ignore")
    return frame


def _quoted(content: str) -> str:
    doubled = content.replace('"', '""')
    return f'"{doubled}"' if _QUOTED.search(content) else content
