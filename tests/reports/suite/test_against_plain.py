"""Paired differences from plain tuning, from frames made up by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from anchorlab.reports.suite.against_plain import against_plain_tables, difference_of_auroc, paired_difference
from tests.reports.suite.test_detections import Made


def runs(rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["reference_seed", "seed", "asr"])


def test_runs_of_one_reference_count_as_one():
    """Differences 0.1 and 0.3 on one reference, 0.6 and 0.1 on others: means 0.2, 0.6 and 0.1."""
    ours = runs([(0, 0, 0.5), (0, 1, 0.8), (1, 0, 0.9), (2, 0, 0.9), (3, 0, 0.2)])
    plain = runs([(0, 0, 0.4), (0, 1, 0.5), (1, 0, 0.3), (3, 0, 0.1)])
    estimate = paired_difference(ours, plain, "asr")
    lower, upper = stats.t.interval(0.95, 2, loc=0.3, scale=stats.sem([0.2, 0.6, 0.1]))
    assert (estimate.value, estimate.lower, estimate.upper) == pytest.approx((0.3, lower, upper))


def test_one_reference_has_no_interval_however_many_seeds_it_has():
    estimate = paired_difference(runs([(0, 0, 0.5), (0, 1, 0.8)]), runs([(0, 0, 0.4), (0, 1, 0.5)]), "asr")
    assert (estimate.value, estimate.bounds) == (pytest.approx(0.2), None)


def population(hidden: float) -> pd.DataFrame:
    """Three references, each with a clean, a plain and an anchored model; the anchored ones score lower."""
    rows = [
        (role, method, reference, score + reference / 10, f"{method}{reference}")
        for reference in range(3)
        for role, method, score in (
            ("reference", "reference", 0.0), ("method", "plain", 1.0), ("method", "anchoring", 1.0 - hidden)
        )
    ]  # fmt: skip
    columns = ["role", "method", "reference_seed", "score", "weights_sha256"]
    return pd.DataFrame(rows, columns=columns).assign(
        detector="cleanse",
        kind="model",
        task="digits",
        model="resnet",
        trigger="square",
        rule="all-to-one",
        target=2,
        seed=0,
        defender="640",
        anchors_asked="all",
        target_asr=0.9,
    )


def test_hidden_models_have_a_lower_auroc():
    assert difference_of_auroc(population(0.0), "anchoring").value == 0
    # Clean 0, 0.1, 0.2; anchored -0.05, 0.05, 0.15: of nine pairs three are won, while plain ones win all.
    estimate = difference_of_auroc(population(1.05), "anchoring")
    assert estimate.value == pytest.approx(3 / 9 - 1)
    assert estimate.bounds is None  # the three references say the same, and so nothing of how far others would differ


def test_every_kind_has_its_table():
    detections = pd.concat(
        [
            population(1.05),
            population(0.0).query("role == 'method'").assign(
                kind="input", detector="strip", auroc=lambda rows: np.where(rows["method"] == "plain", 0.9, 0.7),
                identity=lambda rows: rows["weights_sha256"],
            ),
        ]
    )  # fmt: skip
    repairs = population(0.0).assign(
        defence="tune", identity=lambda rows: rows["weights_sha256"], asr=lambda rows: rows["score"]
    )
    made = Made(detections)
    made.repairs = repairs
    of_repairs, of_models, of_inputs = against_plain_tables(made)
    assert [column.title for column in of_repairs.columns] == ["anchoring"]
    assert of_repairs.groups[0].rows[0].cells[0].value == 0
    assert of_models.groups[0].rows[0].cells[0].text == "−0.667"
    (row,) = of_inputs.groups[0].rows
    assert (row.head, row.cells[0].value) == ("strip", pytest.approx(-0.2))


def test_without_plain_tuning_there_is_nothing_to_compare():
    made = Made(population(0.0).query("method != 'plain'"))
    made.repairs = pd.DataFrame()
    assert against_plain_tables(made) == []
