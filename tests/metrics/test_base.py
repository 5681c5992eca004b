"""A metric is one record: one that a third party registers turns up everywhere."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from anchorlab.consistency.compare import compare_logits
from anchorlab.consistency.instances import instances, read_instances, write_instances
from anchorlab.consistency.summary import Consistency, summarise
from anchorlab.metrics import METRICS, InstanceTable, Mean, Metric
from anchorlab.metrics.summaries import Total
from anchorlab.reports.suite.summary import summarise as summarise_suite
from anchorlab.reports.suite.tables import further_table
from anchorlab.statistics.table import to_csv
from anchorlab.suites.results import load_results, write_results
from anchorlab.suites.runner import run_suite
from tests.reports.conftest import make_suite
from tests.suites.inline import Inline, tiny


def margin_of(logits: np.ndarray) -> np.ndarray:
    """How far the largest logit lies above the second, ``[N]``."""
    ordered = np.sort(logits, axis=1)
    return ordered[:, -1] - ordered[:, -2]


MARGIN = Metric(
    "margin_shift",
    title="margin shift",
    definition="Mean absolute change of the margin between the two largest logits.",
    each=lambda pair, _: np.abs(margin_of(pair.candidate) - margin_of(pair.reference)),
    unit="logits",
    scale="log",
)


@pytest.fixture
def margin() -> Iterator[Metric]:
    METRICS.register(MARGIN.name, MARGIN)
    yield MARGIN
    METRICS.unregister(MARGIN.name)


def case() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(60, 4))
    return reference, reference + rng.normal(size=(60, 4)), rng.integers(0, 4, 60)


def test_one_record_and_one_line_are_a_field_a_column_and_an_interval(margin: Metric, tmp_path: Path) -> None:
    comparison = compare_logits(*case(), save_instances=tmp_path / "instances.parquet")
    written = comparison.to_dict()
    column = read_instances(tmp_path / "instances.parquet")[margin.name]
    assert written[margin.name] == getattr(comparison, margin.name) == pytest.approx(column.mean(), rel=1e-6)
    lower, upper = comparison.intervals[margin.name]
    assert lower < written[margin.name] < upper
    assert list(written)[: len(Consistency.model_fields)] == list(Consistency.model_fields)


def test_a_table_that_was_stored_without_the_metric_still_loads(tmp_path: Path) -> None:
    write_instances(tmp_path / "instances.parquet", instances(*case()))
    METRICS.register(MARGIN.name, MARGIN)
    try:
        stored = read_instances(tmp_path / "instances.parquet")
        found = summarise(stored)
    finally:
        METRICS.unregister(MARGIN.name)
    assert MARGIN.name not in stored
    assert found.to_dict()[MARGIN.name] is None
    assert "before this metric was registered" in found.undefined[MARGIN.name]
    assert found.kl == pytest.approx(summarise(stored).kl)


def test_reports_show_it_after_the_further_metrics(margin: Metric) -> None:
    suite = make_suite(sizes=("64",), targets=(0.95,), seeds=(0,), references=(0, 1, 2), failed=False)
    (condition,) = summarise_suite(suite)
    table = further_table(condition)
    assert table.columns[-1].title == margin.title
    plain = next(row for _, row in table.rows() if row.head == "plain")
    assert plain.cells[-1].value > 0
    assert to_csv(table).splitlines()[0].split(",")[-3:] == [
        margin.name,
        f"{margin.name}_lower",
        f"{margin.name}_upper",
    ]


@pytest.mark.slow
def test_a_suite_has_it_in_its_results(margin: Metric, tmp_path: Path) -> None:
    run_suite(tiny(anchors=[10], seeds=1), tmp_path / "suite", executor=Inline())
    results = load_results(tmp_path / "suite")
    write_results(results, tmp_path / "suite")
    with (tmp_path / "suite" / "results.csv").open() as file:
        assert all(float(row[margin.name]) >= 0 for row in csv.DictReader(file))


def test_without_a_way_to_measure_it_is_refused() -> None:
    with pytest.raises(ValueError, match="'empty' measures nothing"):
        Metric("empty", title="empty", definition="Nothing.")


def test_divergences_and_logit_distances_are_averaged_geometrically_and_rates_within_their_range() -> None:
    averaged = {name: METRICS[name].averaging for name in METRICS}
    assert {name for name, how in averaged.items() if how == "geometric"} == {
        *("kl", "kl_reverse", "kl_symmetric", "js", "logit_distance", "logit_distance_centred")
    }
    assert {averaged[name] for name in ("accuracy", "asr", "churn", "leakage", "total_variation")} == {"rate"}
    assert {averaged[name] for name in ("pearson_correct", "nll", "brier", "residual", "shift_p95")} == {"plain"}
    assert METRICS["asr"].over_references([0.9, 1, 1], [0, 1, 2]).upper == 1
    assert METRICS["brier"].range == (0, 2)
    assert METRICS["kl"].contrast([0.1, 0.4], [0.2, 0.2], [0, 1]).value == pytest.approx(1)
    assert METRICS["kl"].over_references([0.1, 0.1, 0.8], [0, 1, 2]).value == pytest.approx(0.2)


def test_a_calibration_error_has_no_interval_over_references() -> None:
    assert METRICS["ece"].over_references([0.1, 0.2, 0.3], [0, 1, 2]).bounds is None
    assert METRICS["ece"].contrast([0.1, 0.2, 0.3], [0.1, 0.1, 0.1], [0, 1, 2]).bounds is None


def test_a_sum_of_means_says_why_the_undefined_one_is() -> None:
    table = InstanceTable(instances(*case()))
    whole = Mean(lambda table: table.right)
    none = Mean(lambda table: table.right, lambda table: np.zeros(len(table), dtype=bool), lambda _: "nobody is there")
    for parts in ((whole, none), (none, whole)):
        assert Total(parts).value(table) is None
        assert Total(parts).why_undefined(table) == "nobody is there"


def test_what_is_measured_of_the_reference_alone_says_so_in_its_name() -> None:
    assert {name for name in METRICS if METRICS[name].of_reference} == {n for n in METRICS if n.endswith("_reference")}
