"""The tables say what the summary holds."""

import dataclasses
import io
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from anchorlab.errors import AnchorlabError
from anchorlab.metrics import METRICS
from anchorlab.reports.measures import MAIN, main_metrics, shown_metrics
from anchorlab.reports.suite import record_tables, tables
from anchorlab.reports.suite.costs import cost_table
from anchorlab.reports.suite.summary import summarise
from anchorlab.statistics.numbers import p_value, significant
from anchorlab.statistics.table import print_rich
from tests.reports.conftest import make_suite


@pytest.fixture(scope="module")
def suite():
    return make_suite(references=(0, 1, 2), seeds=(0, 1))


@pytest.fixture(scope="module")
def conditions(suite):
    return summarise(suite)


def row_of(table, head, group=0):
    return next(row for row in table.groups[group].rows if row.head == head)


def test_every_cell_is_its_estimate_with_its_interval(conditions):
    table = tables.results_table(conditions[0])
    for group, shown in zip(conditions[0].groups, table.groups, strict=False):
        for entry, row in zip(group.entries, shown.rows, strict=True):
            for measure, cell in zip(main_metrics(), row.cells[1:], strict=False):
                estimate = entry.estimate(measure.name)
                assert cell.value == estimate.value
                assert cell.bounds == (estimate.lower, estimate.upper)
                assert cell.text == measure.write(estimate.value).replace("-", "−", 1 if estimate.value < 0 else 0)
    assert table.groups[-1].title.startswith("Noise floor")
    assert row_of(table, "weight-ball").sub == "not reached (best ASR 0.5000 on selection)"
    assert row_of(table, "anchoring").sub == "strength 2"


def test_the_best_is_a_method_and_really_the_best(conditions):
    table = tables.results_table(conditions[0])
    kl = 1 + MAIN.index("kl")
    for group in table.groups[:2]:
        rows = [row for row in group.rows if row.cells]
        (best,) = [row for row in rows if row.cells[kl].best]
        assert best.kind == "method"
        assert best.cells[kl].value == min(row.cells[kl].value for row in rows if row.kind == "method")
        assert not any(row.cells[1].best for row in rows)  # no ASR is best, for they are made equal
    assert not any(cell.best for row in table.groups[-1].rows for cell in row.cells)


def test_the_note_gives_the_attacked_instances_and_the_references_own_rate(suite, conditions):
    first = tables.results_table(conditions[0]).notes[0]
    assert f"{int(suite.results['asr_count'].iloc[0])} triggered instances" in first
    assert f"{conditions[0].groups[0].entries[0].estimate('asr_reference').value:.4f}" in first


def test_two_references_have_both_values_and_no_interval_and_the_table_says_so():
    (condition, _) = summarise(make_suite(references=(0, 1), seeds=(0, 1), sizes=("64",), failed=False))
    for table in (tables.results_table(condition), tables.differences_table(condition, "plain")):
        cells = [cell for _, row in table.rows() for cell in row.cells[1:]]
        assert not any(cell.bounds for cell in cells)
        assert sum("One or two references say nothing of others" in note for note in table.notes) == 1
        assert not any("Student" in note for note in table.notes)
    kl = dict(zip((column.key for column in table.columns), row_of(table, "anchoring").cells, strict=True))["kl"]
    assert re.fullmatch(r"\(×0\.\d+; ×0\.\d+\)", kl.interval)


def test_three_references_have_an_interval_and_the_table_says_of_what(conditions):
    table = tables.results_table(conditions[0])
    assert row_of(table, "plain").cells[0].text == "3"
    assert row_of(table, "plain").cells[0].note == "(6 runs)"
    assert "Intervals are Student's t over 3 references, for this test set." in table.notes
    assert any(note.startswith("Means of KL and logit distance are geometric") for note in table.notes)


def test_an_undefined_measurement_is_said_to_be_with_its_reason(suite):
    results = suite.results.assign(undefined=json.dumps({"leakage": "the label rule has no single target"}))
    (condition, _) = summarise(dataclasses.replace(suite, results=results))
    group = condition.groups[0]
    bare = [
        dataclasses.replace(entry, estimates=entry.estimates | {"leakage": entry.estimate("nothing")})
        for entry in group.entries
    ]
    condition = dataclasses.replace(condition, groups=[dataclasses.replace(group, entries=bare)])
    table = tables.results_table(condition)
    assert row_of(table, "plain").cells[-1].text == "undefined"
    assert "leakage is undefined in some runs: the label rule has no single target." in table.notes


def test_a_further_measurement_that_no_row_has_is_a_note_and_no_column(suite):
    reason = "there are 2 classes"
    runs = suite.results.assign(top_5_accuracy=math.nan, undefined=json.dumps({"top_5_accuracy": reason}))
    (condition, *_) = summarise(dataclasses.replace(suite, results=runs))
    table = tables.further_table(condition)
    shown = [column.key for column in table.columns]
    assert "top_5_accuracy" not in shown
    assert "brier" in shown
    assert all(len(row.cells) in (0, len(shown)) for _, row in table.rows())
    (left_out,) = (note for note in table.notes if note.startswith("Left out, because no row has a value: "))
    assert f"{METRICS['top_5_accuracy'].title} ({reason})" in left_out


def test_a_further_measurement_that_one_row_has_stays_a_column(suite):
    some = suite.results["top_5_accuracy"].where(suite.results["method"] == "plain")
    (condition, *_) = summarise(dataclasses.replace(suite, results=suite.results.assign(top_5_accuracy=some)))
    table = tables.further_table(condition)
    assert "top_5_accuracy" in [column.key for column in table.columns]
    assert not any(METRICS["top_5_accuracy"].title in note for note in table.notes)


def test_differences_say_ratio_or_difference_and_p(conditions):
    table = tables.differences_table(conditions[0], "plain")
    hints = {column.key: column.hint for column in table.columns}
    assert (hints["kl"], hints["churn"]) == ("ratio to plain", "minus plain")
    cell = dict(zip(hints, row_of(table, "anchoring").cells, strict=True))
    assert re.fullmatch(r"×0\.\d+", cell["kl"].text)
    assert re.fullmatch(r"−0\.\d{4}", cell["churn"].text)
    assert cell["churn"].note == ""
    assert "A p value is given from 12 references on." in table.notes
    assert row_of(table, "anchoring").sub == "6 pairs"
    assert tables.differences_table(conditions[0], "l2") is None


def test_choices_costs_classes_and_failures(suite, conditions):
    choices = tables.choices_table(conditions[1], suite.choices)
    cells = dict(zip((column.key for column in choices.columns), row_of(choices, "surgery").cells, strict=True))
    assert (cells["reached"].text, cells["best_asr"].text, cells["strength"].text) == ("no", "0.9700", "2")
    cost = row_of(cost_table(conditions[0]), "plain").cells
    assert [cell.text for cell in cost] == ["100", "6.3", "0.90"] or cost[1].value == pytest.approx(
        suite.results.query("method == 'plain' and anchors_asked == '64' and target_asr == 0.95")["seconds"].mean()
    )
    group = conditions[0].groups[0]
    classes = tables.classes_table(conditions[0], group)
    entry = next(entry for entry in group.entries if entry.label == "plain")
    by_hand = np.mean([json.loads(text)["class 3"]["churn"] for text in entry.runs["by_class"]])
    assert row_of(classes, "class 3").cells[1].value == pytest.approx(by_hand)
    failed = record_tables.failed_table(suite.failed)
    assert failed.groups[0].rows[0].cells[1].text == "the loss is not finite: <lower> the rate"
    assert record_tables.failed_table(suite.failed.iloc[:0]) is None


def test_markdown_has_mean_and_interval_for_one_target(suite, conditions):
    text = tables.to_markdown(suite, target_asr=0.99, conditions=conditions)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    plain = next(line for line in lines if line.startswith("| plain | 64 |"))
    kl = conditions[1].groups[0].entries[0].estimate("kl")
    assert f"{significant(kl.value)} [{significant(kl.lower)}, {significant(kl.upper)}]" in plain
    assert "| surgery | 64 | not reached (best ASR 0.9700 on selection) |" in text
    assert "same model" not in text
    assert "nan" not in text
    with pytest.raises(AnchorlabError, match=re.escape("no results at a target ASR of 0.5: choose one of 0.95, 0.99")):
        tables.to_markdown(suite, target_asr=0.5, conditions=conditions)


def test_the_terminal_table_fits_80_columns(conditions):
    console = Console(width=80, file=io.StringIO())
    for condition in conditions:
        print_rich(tables.results_table(condition, [METRICS[name] for name in ("asr", "kl", "churn")]), console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    for title in ("ASR", "KL", "churn", "64 anchors", "all 1,200 anchors", "plain (stopped)"):
        assert title in text
    assert "nan" not in text.lower()


@pytest.mark.parametrize(
    ("value", "text"), [(0.018, "0.0180"), (8.42, "8.42"), (123456.0, "123456"), (1.234e-5, "1.23e-5"), (0.0, "0")]
)
def test_significant_digits(value, text):
    assert significant(value) == text


def test_p_values():
    assert [p_value(value) for value in (0.03125, 1.0, 0.0001)] == [".031", "1.000", "<.001"]


def test_every_measure_is_a_number_of_the_comparison():
    from anchorlab.consistency.compare import Comparison

    assert {metric.name for metric in shown_metrics()} <= set(Comparison.model_fields)


def test_a_suite_of_a_rule_without_a_target(suite):
    def without(frame):
        return frame.assign(target=None, rule="all-to-all")

    changed = dataclasses.replace(suite, results=without(suite.results), choices=without(suite.choices))
    (condition, _) = summarise(changed)
    assert condition.setting.target is None
    assert tables.choices_table(condition, changed.choices) is not None
    assert isinstance(changed.choices, pd.DataFrame)
