"""Tables and figures of repairs and detectors, from frames made up by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from anchorlab.reports import defences
from anchorlab.reports.defence_figures import matrix, roc_curves
from anchorlab.reports.defences import over_runs


class Made:
    """As much of results as these tables read."""

    def __init__(self, repairs: pd.DataFrame, detections: pd.DataFrame) -> None:
        self.repairs, self.detections = repairs, detections


@pytest.fixture
def repairs() -> pd.DataFrame:
    """Two runs of one method and the reference, repaired in two ways."""
    rows = [
        {
            "task": "digits", "trigger": "square", "defender": "640", "method": method, "defence": defence,
            "identity": f"{method}{defence}{run}", "weights_sha256": f"{method}{run}", "asr": asr + 0.1 * run,
            "accuracy": 0.9, "kl": 0.5, "churn": 0.1, "asr_before": 0.96 + 0.04 * run, "accuracy_before": 0.95,
            "kl_before": 0.02, "churn_before": 0.01,
        }
        for method, defence, asr in (
            ("reference", "tune", 0.01), ("reference", "prune", 0.02), ("plain", "tune", 0.5), ("plain", "prune", 0.2)
        )
        for run in range(2)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def detections() -> pd.DataFrame:
    """Four clean models with scores 1 to 4 (one of them beside two triggers), four injected with 3 to 6."""
    rows = [("reference", "reference", score, f"clean{score}") for score in (1, 2, 3, 4)]
    rows += [("reference", "reference", 4, "clean4")]
    rows += [("method", "plain" if score < 5 else "anchoring", score, f"bad{score}") for score in (3, 4, 5, 6)]
    frame = pd.DataFrame(rows, columns=["role", "method", "score", "weights_sha256"])
    models = frame.assign(detector="cleanse", kind="model", task="digits", trigger="square", identity=range(len(frame)))
    inputs = pd.DataFrame(
        [
            {"detector": "strip", "kind": "input", "task": "digits", "trigger": "square", "method": "plain",
             "role": "method", "auroc": value, "tpr_at_1": 0.5, "false_alarms_at_1": 0.02, "tpr_at_5": 0.7,
             "false_alarms_at_5": 0.04, "identity": f"i{value}"}
            for value in (0.8, 0.9)
        ]
    )  # fmt: skip
    return pd.concat([models, inputs], ignore_index=True)


def test_means_over_runs_have_student_s_interval():
    values = [0.2, 0.4, 0.9]
    found = over_runs(values)
    lower, upper = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert (found.value, found.lower, found.upper) == pytest.approx((0.5, lower, upper))
    assert over_runs([0.3]) == type(found)(0.3, None, None)
    assert over_runs([math.nan]) == type(found)(None, None, None)


def test_the_matrix_holds_each_repair_by_each_way(repairs, detections):
    table, *others = defences.repairs_tables(Made(repairs, detections))
    assert [column.title for column in table.columns] == ["plain", "clean reference"]
    (group,) = table.groups
    assert [row.head for row in group.rows] == ["no repair", "tune", "prune"]
    assert [[cell.value for cell in row.cells] for row in group.rows] == [
        pytest.approx([0.98, 0.98]), pytest.approx([0.55, 0.06]), pytest.approx([0.25, 0.07]),
    ]  # fmt: skip
    # Two models before, each beside two repairs: Student's t with one degree of freedom, not with three.
    half = stats.t.ppf(0.975, 1) * stats.sem([0.96, 1.0])
    assert group.rows[0].cells[0].bounds == (pytest.approx(0.98 - half), 1.0)
    lower, upper = group.rows[1].cells[0].bounds
    assert 0 <= lower < 0.55 < upper <= 1
    assert [other.name for other in others] == ["repairs-accuracy", "repairs-kl", "repairs-churn"]


def test_each_model_of_the_population_counts_once(repairs, detections):
    table = defences.population_table(Made(repairs, detections))
    (row,) = table.groups[0].rows
    clean, injected, every, *_ = (cell.value for cell in row.cells)
    assert (clean, injected) == (4, 4)
    # Of 16 pairs the injected one is higher in 13, and equal in 2.
    assert every == pytest.approx((13 + 2 / 2) / 16)
    assert [column.title for column in table.columns[3:]] == ["plain", "anchoring"]
    assert row.cells[4].value == 1.0


def test_detectors_of_inputs_are_means_over_runs(repairs, detections):
    table = defences.inputs_table(Made(repairs, detections))
    (row,) = table.groups[0].rows
    assert (row.head, row.sub) == ("strip", "plain")
    assert row.cells[0].value == pytest.approx(0.85)


def test_curves_rise_from_nothing_to_everything(repairs, detections, tmp_path):
    curves = defences.roc(Made(repairs, detections))
    false, true = curves["cleanse"]
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert (np.diff(false) >= 0).all()
    area = np.trapezoid(true, false)
    assert area == pytest.approx(14 / 16)
    roc_curves(curves, tmp_path / "roc")
    matrix(repairs, tmp_path / "matrix")
    for name in ("roc", "matrix"):
        assert np.asarray(Image.open(tmp_path / f"{name}.png").convert("L")).std() > 5


def test_nothing_is_shown_of_nothing():
    empty = Made(pd.DataFrame(), pd.DataFrame())
    assert defences.repairs_tables(empty) == []
    assert defences.inputs_table(empty) is None
    assert defences.population_table(empty) is None
    assert defences.roc(empty) == {}
