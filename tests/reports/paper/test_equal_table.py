"""A paper's table at the common ASR: values there, runs counted, and nothing in bold that lost runs."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from anchorlab.metrics import METRICS
from anchorlab.reports.paper.bibliography import Bibliography
from anchorlab.reports.paper.equal_table import EqualTable
from anchorlab.reports.paper.kit import write_kit
from anchorlab.reports.paper.request import read_request
from anchorlab.reports.paper.writing import LatexWords
from anchorlab.reports.suite.equal_words import equal_in_words
from anchorlab.reports.suite.summary import summarise
from tests.reports.conftest import FakeResults, make_suite
from tests.reports.paper.conftest import PaperResults, paper_results, text
from tests.reports.suite.at_one_asr import failing, suite_with_scales


def table_of(results: FakeResults) -> EqualTable:
    (condition,) = summarise(results)  # type: ignore[arg-type]
    request = read_request(results, ["asr", "kl", "churn"], None, "3.3in")  # type: ignore[arg-type]
    table = EqualTable.at_common_asr(condition, results, request, "tab:x")  # type: ignore[arg-type]
    assert table is not None
    return table


def rows(table: EqualTable) -> dict[str, list[str]]:
    tex = table.tex(LatexWords(Bibliography("1")))
    cells = [line.removesuffix(r" \\").split(" & ") for line in tex.splitlines() if line.startswith("{}")]
    return {head.removeprefix("{}"): values for head, *values in cells}


def test_values_are_at_the_common_asr_and_runs_are_counted() -> None:
    results = suite_with_scales()
    table = table_of(results)
    assert [metric.name for metric in table.columns] == ["kl", "churn"]
    ours = results.equal[results.equal["method"] == "anchoring"]
    expected = METRICS["kl"].over_references(ours["kl"], ours["reference_seed"])
    (entry,) = (entry for entry in table.entries if entry.label == "anchoring")
    assert entry.estimate("kl").value == pytest.approx(expected.value)
    found = rows(table)
    assert found["anchoring"][0] == "3 of 3"
    assert "benign" not in found
    assert found["plain (stopped)"][0] == "3 of 3"


def test_methods_without_a_value_say_why() -> None:
    found = rows(table_of(suite_with_scales()))
    assert "measured at one scale only" in found["ewc"][0]
    assert "not reached (ASR" in found["weight-ball"][0]
    equal = suite_with_scales()
    nothing = equal.equal.copy()
    nothing.loc[nothing["method"] == "plain", ["scale_below", "scale_above", "kl"]] = float("nan")
    assert "no run brackets ASR 0.99" in rows(table_of(dataclasses.replace(equal, equal=nothing)))["plain"][0]


def test_the_caption_says_how_and_counts_failed_runs() -> None:
    tex = table_of(failing(suite_with_scales(), "plain", (2,))).tex(LatexWords(Bibliography("1")))
    assert "Consistency at one common ASR of 0.99 of the runs at a target ASR of 0.95" in tex
    assert "two neighbouring scales" in tex
    assert "Failed runs, whose ASR lies more than 5 points below the target, are left out: 1." in tex


def test_a_method_that_lost_a_run_is_not_in_bold() -> None:
    whole = table_of(suite_with_scales())
    results = suite_with_scales()
    lost = results.equal.copy()
    bold = [label for label, cells in rows(whole).items() if len(cells) > 1 and "mathbf" in cells[1]]
    assert len(bold) == 1
    first = lost.index[lost["method"] == bold[0]][0]
    lost.loc[first, ["scale_below", "scale_above", "kl", "churn"]] = float("nan")
    after = rows(table_of(dataclasses.replace(results, equal=lost)))
    assert after[bold[0]][0] == "2 of 3"
    assert "mathbf" not in after[bold[0]][1]


def test_a_suite_at_one_scale_has_no_such_table() -> None:
    results = make_suite(sizes=("64",), targets=(0.95,), seeds=(0,))
    (condition,) = summarise(results)  # type: ignore[arg-type]
    request = read_request(results, None, None, "3.3in")  # type: ignore[arg-type]
    assert EqualTable.at_common_asr(condition, results, request, "tab:x") is None  # type: ignore[arg-type]
    (rule,) = equal_in_words(results)  # type: ignore[arg-type]
    assert rule.endswith(" did.")


def test_words_count_reported_failed_and_bracketed_runs() -> None:
    results = failing(suite_with_scales(unbracketed=(1,)), "plain", (2,))
    said = " ".join(equal_in_words(results, lambda label: label in ("plain", "ewc")))  # type: ignore[arg-type]
    assert "1 of 6 runs did." in said
    assert "3 of 6 reported runs with a backdoor were measured on test" in said
    assert "from 0.3 to 2 times" in said
    assert "Of the 5 runs that did not fail, 1 has a value." in said


def test_the_kit_has_the_table_first_and_explains_it(tmp_path: Path) -> None:
    made = paper_results(sizes=("64",), targets=(0.95,), seeds=(0,), references=(0, 1, 2))
    results: PaperResults = dataclasses.replace(made, equal=suite_with_scales().equal)
    kit = write_kit(results, tmp_path)  # type: ignore[arg-type]
    document = text(kit, "main.tex")
    assert document.index(r"\input{table-equal.tex}") < document.index(r"\input{table.tex}")
    assert "anchoring, as reported" in text(kit, "table-equal.csv")
    assert "kl_to_plain" in text(kit, "table-equal.csv")
    assert "common ASR of 0.99" in text(kit, "methods.md")
    assert "`table-equal.tex` | the table at the common ASR" in text(kit, "README.md")
    labels = re.findall(r"\\label\{([^}]*)\}", text(kit, "table-equal.tex") + text(kit, "table.tex"))
    assert labels == ["tab:anchorlab-equal", "tab:anchorlab"]
