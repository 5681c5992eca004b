"""A table is one record: what holds for all of them, and that one more needs nothing else."""

from __future__ import annotations

from functools import partial

import pandas as pd
import pytest

from anchorlab import analyze
from anchorlab.perturbation.parts import Tables
from anchorlab.perturbation.table import AnalysisColumn, AnalysisTable, Cost, with_candidate
from anchorlab.perturbation.tables import TABLES
from anchorlab.reports.analysis import write_analysis
from tests.perturbation.findings import findings
from tests.perturbation.test_analyze import BRIEF


def test_nothing_is_said_of_nothing():
    assert findings() == []


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_table_and_column_is_described(table):
    assert TABLES[table.name] is table
    for text in (table.description, *(column.description for column in table.columns)):
        assert text
        assert not text.endswith(".")
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)


def test_long_tables_are_files_beside_the_page():
    assert {name for name, table in TABLES.items() if not table.in_page} == {
        *("angles", "paths", "instances", "plane", "gradients")
    }


def parts(context):
    for name in context.candidates:
        yield context.part(f"signs of {name}", [name], partial(measure, context, name))


def measure(context, name, tick) -> Tables:
    share = float((context.perturbations[name].vector() > 0).float().mean())
    return {"signs": with_candidate(name, pd.DataFrame([{"positive": share}]))}


SIGNS = AnalysisTable(
    name="signs",
    description="how many entries of each perturbation are positive",
    columns=[AnalysisColumn("positive", "share of the entries", "share above 0")],
    cost=Cost.WEIGHTS,
    parts=parts,
    findings=lambda tables, kinds: [f"{row.candidate}: {row.positive:.2f}." for row in tables["signs"].itertuples()],
)


@pytest.mark.slow
def test_a_table_of_ones_own_is_one_record_and_one_line(monkeypatch, tmp_path, digits, reference, injected):
    monkeypatch.setitem(TABLES, "signs", SIGNS)
    analysis = analyze(reference, {"anchored": injected}, examples=40, settings=BRIEF, task=digits, budget="1p")
    share = analysis.tables["signs"].set_index("candidate").loc["anchored", "positive"]
    assert 0 < share < 1
    assert analysis.findings[-1] == f"anchored: {share:.2f}."
    page = write_analysis(analysis, tmp_path).read_text()
    for words in ("<h2>Signs</h2>", "How many entries of each perturbation are positive.", "share above 0"):
        assert words in page
    assert (tmp_path / "tables" / "signs.csv").is_file()
