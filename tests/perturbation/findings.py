"""What the tables say of rows that are made up."""

from __future__ import annotations

from typing import Any

import pandas as pd

from anchorlab.perturbation.tables import TABLES


def findings(kinds: dict[str, str] | None = None, **rows: list[dict[str, Any]]) -> list[str]:
    """The findings of all tables; those not given have no rows."""
    tables = {name: pd.DataFrame(rows.get(name, [])) for name in TABLES}
    return [sentence for table in TABLES.values() for sentence in table.findings(tables, kinds or {})]


def interval(name: str, value: float, lower: float, upper: float) -> dict[str, float]:
    """A value and the ends of its interval, as columns."""
    return {name: value, f"{name}_lower": lower, f"{name}_upper": upper}


def whole(name: str, l2: float) -> dict[str, object]:
    """The row of ``sizes`` of a whole model."""
    return {"candidate": name, "layer": "all parameters", "l2": l2, "relative": l2 / 10}
