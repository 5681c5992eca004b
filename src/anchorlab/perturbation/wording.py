"""Words of the tables, how findings write numbers, and how they pick the rows that they speak of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from anchorlab.statistics.estimate import Estimate

#: What stands for the reference among names of candidates.
REFERENCE = "reference"


def rows_where(table: pd.DataFrame, **values: str) -> list[dict[str, Any]]:
    """Rows in which the named columns hold these values; none of an empty table."""
    rows = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
    return [row for row in rows if all(row[name] == value for name, value in values.items())]


def sentence(text: str) -> str:
    """The text with a capital letter at its beginning."""
    return text[0].upper() + text[1:]


def interval(row: Mapping[str, Any], name: str) -> str:
    """A value with its interval, as in ``0.1 [0.05, 0.2]``."""
    return Estimate(row[name], row[f"{name}_lower"], row[f"{name}_upper"]).text(digits)


def digits(value: float) -> str:
    """A number with three significant digits."""
    return "0" if value == 0 else f"{value:.3g}"


def percent(share: float | None) -> str:
    """A share as a percentage."""
    return "undefined" if share is None or pd.isna(share) else f"{100 * share:.3g}%"
