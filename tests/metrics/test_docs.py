"""The table in ``docs/metrics.md`` says what the records say."""

from __future__ import annotations

from pathlib import Path

import pytest

from anchorlab.metrics import METRICS

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
DIRECTIONS = {"low": "lower", "high": "higher", "–": ""}


def rows() -> dict[str, list[str]]:
    """Name to the cells of its row, for tables that have a row a metric."""
    table = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for name in cells[0].replace("`", "").split(", "):
            if line.startswith("|") and name in METRICS:
                table[name] = cells
    return table


@pytest.mark.parametrize("name", METRICS.names())
def test_a_metric_has_a_row_with_its_range_and_direction(name: str) -> None:
    cells, metric = rows()[name], METRICS[name]
    assert metric.limits in cells
    if not metric.of_reference and len(cells) == 6:
        assert DIRECTIONS[cells[4]] == metric.better
