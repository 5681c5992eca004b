"""The table at one common ASR: each method beside itself as reported, with what is missing counted."""

from __future__ import annotations

import pytest

from anchorlab.reports.suite.equal_table import equal_table
from anchorlab.reports.suite.summary import summarise
from anchorlab.reports.suite.tables import to_markdown
from anchorlab.statistics.table import Cell, Table
from tests.reports.conftest import FakeResults, make_suite
from tests.reports.suite.at_one_asr import failing, suite_with_scales


def table_of(results: FakeResults) -> Table:
    (condition,) = summarise(results)  # type: ignore[arg-type]
    table = equal_table(condition, results)  # type: ignore[arg-type]
    assert table is not None
    return table


def cells(table: Table, head: str) -> dict[str, Cell]:
    (row,) = (row for _, row in table.rows() if row.head == head)
    return {column.key: cell for column, cell in zip(table.columns, row.cells, strict=True)}


def geometric(results: FakeResults, method: str) -> float:
    kl = results.results[results.results["method"] == method]["kl"].astype(float)
    return float(kl.prod() ** (1 / len(kl)))


def test_the_ratio_at_the_common_asr_stands_above_the_one_as_reported() -> None:
    results = suite_with_scales()
    table = table_of(results)
    raw = geometric(results, "anchoring") / geometric(results, "plain")
    assert cells(table, "anchoring")["kl_to_plain"].value == pytest.approx(4 * raw)
    assert cells(table, "anchoring, as reported")["kl_to_plain"].value == pytest.approx(raw)
    assert cells(table, "anchoring")["kl_to_plain"].bounds is not None
    assert cells(table, "anchoring")["asr"].text == "0.9900"
    heads = [row.head for _, row in table.rows()]
    assert heads.index("anchoring, as reported") == heads.index("anchoring") + 1


def test_the_best_other_method_is_named() -> None:
    table = table_of(suite_with_scales())
    assert cells(table, "plain")["kl_to_best"].note == "of anchoring, 3 pairs"
    assert "of anchoring" not in cells(table, "anchoring")["kl_to_best"].note
    assert cells(table, "anchoring")["kl"].best
    assert not cells(table, "plain")["kl"].best


def test_runs_that_nothing_brackets_are_counted_and_in_no_mean() -> None:
    table = table_of(suite_with_scales(unbracketed=(1, 2)))
    assert (cells(table, "plain")["runs"].text, cells(table, "plain")["runs"].note) == ("1", "of 3")
    assert cells(table, "plain")["kl"].bounds is None
    assert cells(table, "plain, as reported")["runs"].text == "3"
    nothing = table_of(suite_with_scales(unbracketed=(0, 1, 2)))
    assert cells(nothing, "plain")["kl"].text == "–"
    assert cells(nothing, "plain")["runs"].text == "0"


def test_a_method_that_lost_runs_is_not_the_best() -> None:
    results = suite_with_scales()
    lost = (results.equal["method"] == "surgery") & (results.equal["reference_seed"] > 0)
    results.equal.loc[lost, ["scale_below", "kl"]] = float("nan")
    results.equal.loc[results.equal["method"] == "surgery", "kl"] *= 1e-6
    table = table_of(results)
    assert not cells(table, "surgery")["kl"].best
    assert cells(table, "anchoring")["kl"].best
    assert "of surgery" not in cells(table, "plain")["kl_to_best"].note


def test_a_method_at_one_scale_says_so_in_place_of_values() -> None:
    (row,) = (row for _, row in table_of(suite_with_scales()).rows() if row.head == "ewc")
    assert (list(row.cells), row.sub) == ([], "measured at one scale only")


def test_failed_runs_are_counted_and_in_no_mean_and_those_below_the_target_too() -> None:
    results = suite_with_scales()
    failed = failing(results, "plain", (2,))
    before, after = table_of(results), table_of(failed)
    assert cells(before, "plain")["below"].text == "0"
    assert (cells(after, "plain")["below"].text, cells(after, "plain")["below"].note) == ("1", "1 failed")
    assert cells(after, "plain")["runs"].text == "2"
    assert cells(after, "plain, as reported")["runs"].text == "2"
    assert cells(after, "plain")["kl"].value != cells(before, "plain")["kl"].value
    below = table_of(failing(results, "plain", (2,), asr=0.94))
    assert (cells(below, "plain")["below"].text, cells(below, "plain")["below"].note) == ("1", "")
    assert cells(below, "plain")["runs"].text == "3"


def test_controls_with_a_backdoor_are_there_and_the_benign_update_is_not() -> None:
    heads = {row.head for _, row in table_of(suite_with_scales()).rows()}
    assert "plain (stopped)" in heads
    assert "benign" not in heads


def test_a_suite_at_one_scale_has_no_such_table() -> None:
    results = make_suite(sizes=("64",), targets=(0.95,), seeds=(0,))
    (condition,) = summarise(results)  # type: ignore[arg-type]
    assert equal_table(condition, results) is None  # type: ignore[arg-type]


def test_markdown_has_the_table_before_the_one_as_reported() -> None:
    text = to_markdown(suite_with_scales())  # type: ignore[arg-type]
    assert text.index("at one common ASR of 0.99") < text.index("| anchoring, as reported |")
    assert "at one common ASR" not in to_markdown(make_suite(sizes=("64",), targets=(0.95,), seeds=(0,)))  # type: ignore[arg-type]
