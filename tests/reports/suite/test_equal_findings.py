"""Findings and the terminal's table compare methods at the common ASR, and say what has no value there."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from anchorlab.reports.suite.brief import brief_table
from anchorlab.reports.suite.findings import findings
from anchorlab.reports.suite.paired import write_ratio
from anchorlab.statistics.table import print_full
from tests.reports.conftest import FakeResults
from tests.reports.suite.at_one_asr import failing, suite_with_scales


def said(results: FakeResults) -> str:
    return "\n".join(findings(results))  # type: ignore[arg-type]


def values(results: FakeResults, label: str) -> dict[str, str]:
    table = brief_table(results)  # type: ignore[arg-type]
    assert table is not None
    (row,) = (row for _, row in table.rows() if row.head == label)
    return {column.key: cell.text for column, cell in zip(table.columns, row.cells, strict=True)}


def test_the_ratio_at_the_common_asr_comes_first_and_the_one_as_reported_after_it() -> None:
    first, *_ = findings(suite_with_scales())  # type: ignore[arg-type]
    assert "at ASR 0.99: its KL is" in first
    assert "times plain's [" in first
    assert first.index("times plain's") < first.index("as reported, at ASR")


def test_runs_without_a_value_are_counted() -> None:
    text = said(suite_with_scales(unbracketed=(2,)))
    assert "2 of 3 runs of plain" in text
    assert "none of 3 runs of ewc (measured at one scale)" in text


def test_with_fewer_than_two_methods_at_the_common_asr_runs_are_compared_as_reported() -> None:
    text = said(suite_with_scales(unbracketed=(0, 1, 2)))
    assert "at ASR 0.99" not in text
    assert "of the 0.95 asked for" in text


def test_the_terminal_s_table_is_at_the_common_asr_too() -> None:
    results = suite_with_scales()
    table = brief_table(results)  # type: ignore[arg-type]
    assert table is not None
    assert "at ASR 0.99 (column ASR: as reported)" in table.caption
    assert values(results, "plain")["runs"] == "3 of 3"
    assert values(results, "ewc")["runs"] == "0 of 3"
    assert values(results, "ewc")["kl"] == "–"
    assert float(values(results, "ewc")["asr"]) > 0.9
    assert values(results, "benign")["runs"] == "3"


def test_parts_of_which_one_alone_is_at_the_common_asr_fit_80_columns() -> None:
    """A title that stood in the column of methods took the room of all others, so that no value could be read."""
    made = suite_with_scales(sizes=("64", "640"))
    equal = made.equal[made.equal["anchors_asked"] == "640"]
    table = brief_table(dataclasses.replace(made, equal=equal))  # type: ignore[arg-type]
    assert table is not None
    assert [group.title for group in table.groups] == ["64 anchors, as reported", "640 anchors, at ASR 0.99"]
    assert table.caption.endswith("on test (column ASR: as reported)")
    console = Console(width=80, record=True, file=io.StringIO())
    print_full(table, console)
    shown = console.export_text()
    for _, row in table.rows():
        assert all(cell.text in shown for cell in row.cells)
    assert "…" not in shown


def test_failed_runs_are_in_no_mean_of_it() -> None:
    results = failing(suite_with_scales(), "plain", (0,))
    assert values(results, "plain")["runs"] == "2 of 3"
    assert float(values(results, "plain")["asr"]) == pytest.approx(1, abs=0.02)


def test_the_ratio_as_reported_names_what_it_is_of() -> None:
    first, *_ = findings(suite_with_scales())  # type: ignore[arg-type]
    assert "times plain's [" in first.partition("as reported, at ASR")[2]


@pytest.mark.parametrize(("value", "text"), [(0.93, "0.93"), (0.998, "0.998"), (1.0031, "1.003"), (1.0, "1.0")])
def test_an_end_near_1_shows_on_which_side_it_lies(value: float, text: str) -> None:
    assert write_ratio(value) == text
