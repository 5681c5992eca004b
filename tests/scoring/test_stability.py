"""Stability: each setting of the grid is a repair of its own, and the differences are those of all pairs."""

from __future__ import annotations

from unittest import mock

import pytest

from anchorlab import AnchorlabError, Stability, compare, score_stability
from anchorlab.repairs import FineTuning
from anchorlab.repairs.repair import repair
from anchorlab.scoring.stability import StabilityPoint, stability_table, words_of_stability


def point(setting, asr, accuracy):
    return StabilityPoint(setting, asr, accuracy, 1.0, None)


def test_differences_by_hand():
    """ASR 1/2, 1/4 and 1: 1/4, 1/2 and 3/4 apart. Accuracy 3/4, 3/4 and 1/2: 0, 1/4 and 1/4."""
    found = Stability("tune", (point("", 0.5, 0.75), point("a=1", 0.25, 0.75), point("a=2", 1.0, 0.5)))
    assert found.asr == pytest.approx(0.5)
    assert found.accuracy == pytest.approx(1 / 6)
    assert words_of_stability(found) == (
        "With 3 settings of tune, the ASR left lies from 0.250 to 1.000, and two of them differ by 0.500 on average; "
        "the accuracy lies from 0.500 to 0.750, and two of them differ by 0.167 on average.",
        "ASR left and accuracy by setting: as it is 0.500 and 0.750, a=1 0.250 and 0.750, a=2 1.000 and 0.500.",
    )
    assert [row.head for _, row in stability_table(found).rows()] == ["as it is", "a=1", "a=2"]
    assert found.to_dict()["points"][1] == {
        "setting": "a=1",
        "asr": 0.25,
        "accuracy": 0.75,
        "seconds": 1.0,
        "note": None,
    }
    assert list(found.table()["setting"]) == ["", "a=1", "a=2"]
    assert "<table" in found._repr_html_()
    assert repr(found) == "Stability(tune, 3 settings, differences: ASR 0.5000, accuracy 0.1667)"
    alone = Stability("tune", (point("", None, 0.75), point("a=1", None, 0.5)))
    assert alone.asr is None
    assert words_of_stability(alone)[1] == "Accuracy by setting: as it is 0.750, a=1 0.500."


def test_each_point_is_what_the_repair_with_that_setting_leaves(planted, digits, on_cpu):
    grid = {"epochs": (2,), "learning_rate": (1e-2,)}
    how = {"defender_data": None, "task": digits, "seed": 3}
    with mock.patch.object(FineTuning, "stability_grid", grid):
        found = score_stability(planted, "fine-tuning", parameters={"epochs": 1}, **how)
    assert [each.setting for each in found.points] == ["", "epochs=2", "learning_rate=0.01"]
    for each, changed in zip(found.points, ({}, {"epochs": 2}, {"learning_rate": 1e-2}), strict=True):
        repaired = repair(planted, "fine-tuning", parameters={"epochs": 1, **changed}, **how)
        measured = compare(planted, repaired, task=digits)
        assert (each.asr, each.accuracy) == pytest.approx((measured.asr, measured.accuracy))


def test_a_repaired_model_that_is_at_hand_is_not_made_again(planted, digits, monkeypatch):
    made = []
    repaired = repair(planted, "clp", parameters={"deviations": 2}, defender_data=None, task=digits)

    def counted(model, one, **options):
        made.append(one)
        return repair(model, one, **options)

    monkeypatch.setattr("anchorlab.scoring.stability.repair_model", counted)
    given = {"parameters": {"deviations": 2}, "defender_data": None, "task": digits}
    found = score_stability(planted, "clp", repaired=repaired, **given)
    assert [each.setting for each in found.points] == ["", "deviations=4.0"]
    assert len(made) == 1


def test_an_oracle_is_repeated_as_an_oracle(planted, digits, monkeypatch):
    made = []

    def counted(model, one, **options):
        made.append((one, options["choose_depth"] is not None))
        return planted

    monkeypatch.setattr("anchorlab.scoring.stability.repair_model", counted)
    score_stability(planted, "oracle-fine-pruning", defender_data=None, task=digits)
    assert made == [("oracle-fine-pruning", True)] * 5


def test_without_an_attack_the_accuracy_alone_is_measured(reference, digits):
    found = score_stability(reference, "clp", defender_data=None, task=digits)
    assert found.asr is None
    assert found.accuracy is not None


def test_what_is_wrong_is_said_before_anything_runs(planted, digits, monkeypatch):
    monkeypatch.setattr("anchorlab.scoring.stability.repair_model", None)
    with pytest.raises(AnchorlabError, match="needs an earlier version"):
        score_stability(planted, "interpolation", task=digits, defender_data=None)
