"""What the simulation in experiments/documents found, and that its rows come from its code."""

from __future__ import annotations

import runpy
from pathlib import Path

import pandas as pd
import pytest

from anchorlab.tokens.summary import LEAST_COVERAGE, SKEWED

FOLDER = Path(__file__).parents[2] / "experiments" / "documents"


@pytest.fixture(scope="module")
def cells():
    return pd.read_csv(FOLDER / "coverage.csv")


def test_intervals_over_documents_cover_what_they_say_where_documents_differ_little(cells):
    """From 12 to 400 documents; an interval over tokens as if they were independent does not."""
    assert (cells["simulations"] >= 4000).all()
    assert [cells["documents"].min(), cells["documents"].max()] == [12, 400]
    alike = cells[cells["spread"] <= SKEWED]
    assert alike["documents"].nunique() == 5
    assert alike["coverage"].between(0.93, 0.97).all()
    assert cells.loc[(cells["deviation"] <= 0.3) & (cells["documents"] >= 20), "coverage"].between(0.93, 0.97).all()
    assert cells["coverage_tokens"].max() < 0.76


def test_the_caution_about_documents_that_differ_much_says_the_least_coverage(cells):
    for limit, coverage in LEAST_COVERAGE:
        assert cells.loc[cells["spread"] <= limit, "coverage"].min() == pytest.approx(coverage, abs=0.001)
    assert cells["spread"].max() <= LEAST_COVERAGE[-1][0]


def test_a_row_comes_from_the_code(cells):
    cell = runpy.run_path(str(FOLDER / "run.py"))["cell"]
    stored = cells[(cells["documents"] == 12) & (cells["deviation"] == 0.1) & (cells["lengths"] == "related")]
    again = cell(12, 0.1, "related", 4000)
    for name in ("coverage", "coverage_tokens", "width", "width_tokens", "spread"):
        assert again[name] == pytest.approx(stored[name].item(), abs=0.001)
