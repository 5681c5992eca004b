"""Tables and figures of detectors, from frames made up by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from anchorlab.reports.suite import detections as shown
from anchorlab.reports.suite import rocs
from anchorlab.reports.suite.detection_figures import draw_areas, draw_found_triggers, draw_roc_curves
from anchorlab.statistics.clustered_roc import ScoredModels, auroc_over_references
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.roc import curve
from anchorlab.suites.examples import Examples

CLASSES = [f"class {label}" for label in range(4)]


class Made:
    """As much of results as these tables read."""

    def __init__(self, detections: pd.DataFrame, *, scores=None, inverted=None, examples=None) -> None:
        self.detections = detections
        self._scores, self._inverted, self.examples = scores or {}, inverted or {}, examples or {}

    def scores(self, identity):
        return self._scores.get(identity, pd.DataFrame(columns=["triggered", "score"]))

    def inverted(self, identity):
        return self._inverted.get(identity, [])


@pytest.fixture
def detections() -> pd.DataFrame:
    """Four clean models with scores 1 to 4 (one of them beside two triggers), four injected with 3 to 6."""
    rows = [("reference", "reference", score, f"clean{score}") for score in (1, 2, 3, 4)]
    rows += [("reference", "reference", 4, "clean4")]
    rows += [("method", "plain" if score < 5 else "anchoring", score, f"bad{score}") for score in (3, 4, 5, 6)]
    frame = pd.DataFrame(rows, columns=["role", "method", "score", "weights_sha256"])
    models = frame.assign(
        detector="cleanse", kind="model", task="digits", trigger="square", identity=[f"m{n}" for n in range(len(frame))]
    )
    models = models.assign(target=2, seed=0, reference_seed=range(len(frame)))
    inputs = pd.DataFrame(
        [
            {"detector": "strip", "kind": "input", "task": "digits", "trigger": "square", "method": "plain",
             "role": "method", "auroc": value, "tpr_at_1": 0.5, "false_alarms_at_1": 0.02, "tpr_at_5": 0.7,
             "false_alarms_at_5": 0.04, "identity": f"i{value}", "target": 2, "seed": 0,
             "reference_seed": 0}
            for value in (0.8, 0.9)
        ]
    )  # fmt: skip
    every = pd.concat([models, inputs], ignore_index=True)
    return every.assign(model="resnet", rule="all-to-one", defender="640", anchors_asked="all", target_asr=0.9)


def test_each_model_of_the_population_counts_once(detections):
    table = shown.population_table(Made(detections))
    (row,) = table.groups[0].rows
    clean, injected, unjudged, every, *_ = (cell.value for cell in row.cells)
    assert (clean, injected, unjudged) == (4, 4, 0)
    # Of 16 pairs the injected one is higher in 13, and equal in 2.
    assert every == pytest.approx((13 + 2 / 2) / 16)
    assert [column.title for column in table.columns[4:6]] == ["AUROC, plain", "AUROC, anchoring"]
    assert row.cells[5].value == 1.0
    # Above 4 lie two of the four injected; to have all of them, 3 and 4 of the clean ones are flagged too.
    assert [cell.value for cell in row.cells[6:]] == [0.5, 0.5]


def test_scores_of_other_tasks_and_budgets_are_not_compared(detections):
    """A detector that is right with 640 examples, and blind with 64; on a task of another scale it is right too."""
    models = detections.query("kind == 'model'")
    blind = models.assign(score=1.0, defender="64")
    right = models.assign(score=(models["role"] == "method").astype(float))
    other = right.assign(score=right["score"] + 100, task="letters", weights_sha256=right["weights_sha256"] + "l")
    made = Made(pd.concat([blind, right, other]))
    groups = shown.population_table(made).groups
    assert [(group.title, group.rows[0].cells[3].value) for group in groups] == [
        ("digits, resnet, 64 of the defender's examples", 0.5),
        ("digits, resnet, 640 of the defender's examples", 1.0),
        ("letters, resnet, 640 of the defender's examples", 1.0),
    ]
    assert list(rocs.roc_of_models(made)) == [group.title for group in groups]


def test_detectors_of_inputs_are_means_over_runs(detections):
    table = shown.inputs_table(Made(detections))
    (row,) = table.groups[0].rows
    assert (row.head, row.sub) == ("strip", "plain")
    assert row.cells[0].value == pytest.approx(0.85)


def test_a_model_without_a_score_is_counted_as_unjudged(detections):
    detections.loc[detections["weights_sha256"] == "bad6", "score"] = np.nan
    (row,) = shown.population_table(Made(detections)).groups[0].rows
    assert [cell.value for cell in row.cells[:3]] == [4, 3, 1]


def test_the_curves_of_models_have_the_area_of_the_table(detections, tmp_path):
    curves = rocs.roc_of_models(Made(detections))[""]
    assert list(curves) == ["plain", "anchoring"]
    roc = curves["plain"]["cleanse"]
    false, true = roc.false, roc.true
    assert roc.counts == "2 models with a backdoor and 4 without"
    assert roc.area.value == pytest.approx((2.5 + 3.5) / 8)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    # Scores 3 and 4 against 1, 2, 3, 4.
    assert np.trapezoid(true, false) == pytest.approx((2.5 + 3.5) / 8)
    draw_roc_curves(curves, tmp_path / "roc", of="models without backdoor")
    assert np.asarray(Image.open(tmp_path / "roc.png").convert("L")).std() > 5


def test_a_curve_over_models_has_an_area_by_reference_and_no_band():
    draw = np.random.default_rng(0)
    clean, injected = (ScoredModels(draw.normal(mean, size=10).tolist(), range(10)) for mean in (0, 1))
    roc = rocs._over_models(clean, injected)
    assert (roc.band, roc.area) == (None, auroc_over_references(clean, injected))


def test_the_band_of_a_mean_curve_is_over_references_and_holds_it():
    draw = np.random.default_rng(0)
    curves = [[curve(draw.normal(size=40), draw.normal(1, size=40)) for _ in range(2)] for _ in range(3)]
    roc = rocs._over_references(curves, Estimate(0.7))
    _, lower, upper = roc.band
    assert ((lower >= 0) & (upper <= 1) & (lower <= upper)).all()
    inside = roc.true[1:]
    assert ((lower <= inside) & (inside <= upper)).all()
    assert roc.counts == "3 references"
    assert rocs._over_references(curves[:2], Estimate(0.7)).band is None


def test_the_mean_curve_has_the_mean_area():
    draw = np.random.default_rng(0)
    pairs = [(draw.normal(size=40).round(1), draw.normal(shift, size=60).round(1)) for shift in (0.5, 1, 2)]
    roc = rocs._over_references([[curve(clean, triggered)] for clean, triggered in pairs], Estimate(None))
    false, true = roc.false, roc.true
    areas = [roc_auc_score(np.r_[0 * clean, 1 + 0 * hit], np.r_[clean, hit]) for clean, hit in pairs]
    assert np.trapezoid(true, false) == pytest.approx(np.mean(areas), abs=5e-3)
    assert (np.diff(true) >= 0).all()
    assert (true[0], true[-1]) == (0, 1)


def test_a_perfect_detector_s_curve_goes_up_at_once():
    roc = rocs._over_references([[curve([0, 1], [2, 3])]], Estimate(1.0))
    false, true = roc.false, roc.true
    assert np.trapezoid(true, false) == 1


def test_curves_of_inputs_are_of_the_scores_that_are_known(detections):
    scores = {"i0.8": pd.DataFrame({"triggered": [False, True, True], "score": [1.0, 2.0, 0.0]})}
    curves = rocs.roc_of_inputs(Made(detections, scores=scores))
    roc = curves["digits, square, 640 of the defender's examples"]["plain"]["strip"]
    assert (roc.band, roc.counts) == (None, "1 reference")
    assert np.trapezoid(roc.true, roc.false) == pytest.approx(0.5, abs=2e-3)
    assert rocs.roc_of_inputs(Made(detections)) == {}


def test_found_triggers_stand_beside_the_true_one(detections, tmp_path):
    bright, dark = torch.full((1, 4, 4), 200, dtype=torch.uint8), torch.full((1, 4, 4), 20, dtype=torch.uint8)
    true = torch.zeros(1, 4, 4, dtype=torch.uint8)
    examples = Examples(bright[None], bright[None], torch.tensor([1]), CLASSES, trigger=true)
    first = {"reference": "m0", "plain": "m5", "anchoring": "m7"}
    inverted = {first["reference"]: [(1, dark)], first["plain"]: [(3, dark), (2, bright)]}
    made = Made(detections, inverted=inverted, examples={"digits, square": examples})
    (found,) = shown.found_triggers(made).values()
    assert (found.true.label, list(found.rows)) == ("class 2", ["reference", "plain"])
    assert found.columns == ["cleanse:\nmost suspicious", "cleanse:\ntrue target"]
    assert [one.label for one in found.rows["plain"].values()] == ["class 3", "class 2"]
    assert torch.equal(found.rows["plain"]["cleanse:\ntrue target"].picture, bright)
    draw_found_triggers(found, tmp_path / "found")
    assert np.asarray(Image.open(tmp_path / "found.png").convert("L")).std() > 5
    assert shown.found_triggers(Made(detections, inverted=inverted)) == {}


def test_a_target_by_name_is_that_class(detections):
    examples = Examples(
        torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), torch.tensor([1]), CLASSES, torch.ones(1, 4, 4)
    )
    named = detections.assign(target="class 3")
    made = Made(named, inverted={"m0": [(1, torch.ones(1, 4, 4))]}, examples={"digits, square": examples})
    (found,) = shown.found_triggers(made).values()
    assert found.true.label == "class 3"


def test_nothing_is_shown_of_nothing():
    empty = Made(pd.DataFrame())
    assert shown.inputs_table(empty) is None
    assert shown.population_table(empty) is None
    assert rocs.roc_of_models(empty) == rocs.roc_of_inputs(empty) == shown.found_triggers(empty) == {}


def test_the_title_of_areas_is_a_mean_over_references(detections, tmp_path):
    strip = detections[detections["detector"] == "strip"]
    runs = pd.concat([strip, strip[:1]]).assign(auroc=[0.6, 0.6, 0.9], reference_seed=[0, 0, 1], identity=list("abc"))
    draw_areas(runs, tmp_path / "areas")
    assert "strip, mean AUROC 0.75" in (tmp_path / "areas.svg").read_text()
