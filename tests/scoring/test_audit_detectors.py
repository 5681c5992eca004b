"""The detectors of an audit: all that apply run on both models, and the others say why they do not."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic.dataclasses import dataclass

from anchorlab import Artifact, Task
from anchorlab.detectors import DETECTORS
from anchorlab.detectors.base import ModelDetector
from anchorlab.registry import ClassRegistry
from anchorlab.scoring import audit_detectors
from anchorlab.scoring.audit_detectors import run_detectors, untestable
from anchorlab.settings import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Broken(ModelDetector):
    """A detector of a third party that fails."""

    def score(self, model, data, context):
        raise ZeroDivisionError("no good")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of few detectors, because all of them take a while."""
    members = {name: DETECTORS[name] for name in ("last-layer", "spectral-signatures", "onion")}
    registry = ClassRegistry("detector", "tests.none", members | {"broken": Broken})
    monkeypatch.setattr(audit_detectors, "DETECTORS", registry)
    monkeypatch.setattr(registry, "_entry_points_loaded", True)


@pytest.mark.usefixtures("few")
def test_all_that_apply_score_both_models(reference: Artifact, planted: Artifact, digits: Task) -> None:
    queries = digits.split("test").select(torch.arange(60))
    how = {"task": digits, "queries": queries, "defender_data": None, "seed": 0}
    found, untested = run_detectors(reference, planted, queries_from="test", **how)
    assert [result.name for result in found] == ["last-layer", "spectral-signatures"]
    of_models, of_inputs = found
    assert of_models.candidate != of_models.reference
    assert 0 <= of_inputs.candidate <= 1
    assert of_inputs.candidate != of_inputs.reference
    assert of_inputs.judges == "sets of inputs"
    assert {one.what: one.why for one in untested} == {
        "the detector onion": "it is for texts, and these are images",
        "the detector broken": "it failed (ZeroDivisionError: no good)",
    }
    _, untested = run_detectors(reference, planted, queries_from="defender", **how)
    assert "the defender's own examples" in next(one.why for one in untested if "spectral" in one.what)


@pytest.mark.usefixtures("few")
def test_the_bar_counts_the_detectors_that_are_done(monkeypatch: pytest.MonkeyPatch, linear, digits: Task) -> None:
    """All of these fail at once or do not apply, and each counts."""
    reported: list[int] = []
    monkeypatch.setattr(audit_detectors, "parts_bar", lambda what, parts: nullcontext(reported.append))
    monkeypatch.setattr(audit_detectors, "score_model", Broken().score)
    queries = digits.split("test").select(torch.arange(6))
    how = {"task": digits, "queries": queries, "queries_from": "defender", "defender_data": None, "seed": 0}
    found, untested = run_detectors(linear, linear, **how)
    assert (found, len(untested), reported) == ([], 4, [0, 1, 2, 3, 4])


def test_shares_are_of_each_model_and_count_the_highest_twentieth(monkeypatch, linear, digits: Task) -> None:
    """Of four queries to the candidate two score so high, of four to the reference one."""
    shares = {1: [0.0, 0.05, 0.06, 1.0], 2: [0.05, 0.1, 0.3, 1.0]}
    held: dict[str, int] = {}
    models = dict(zip(shares, (copy.deepcopy(linear) for _ in shares), strict=True))

    def judged(model, detectors, queries, **_):
        (number,) = (number for number, one in models.items() if one is model)
        usual = {} if number == held.get("few") else dict.fromkeys(detectors, number / 20)
        return SimpleNamespace(
            clean_shares=dict.fromkeys(detectors, np.array(shares[number])), validation_count=40, usual_shares=usual
        )

    monkeypatch.setattr(audit_detectors, "judge_inputs", judged)
    detector = DETECTORS.build("spectral-signatures")
    queries = digits.split("test").select(torch.arange(4))
    found = audit_detectors._of_inputs("it", detector, models[2], models[1], digits, queries, None, 0, "title")
    assert (found.candidate, found.reference) == (0.5, 0.25)
    assert found.meaning == (
        "share of 4 queries that score higher than 95% of the defender's 40 clean examples do; of the clean ones among "
        "themselves it is 0.05 with the candidate and 0.1 with the reference"
    )
    held["few"] = 2
    few = audit_detectors._of_inputs("it", detector, models[2], models[1], digits, queries, None, 0, "title")
    assert few.meaning.endswith("40 clean examples do")


def test_what_no_audit_of_a_form_can_test_is_said() -> None:
    def what(**form: bool) -> set[str]:
        usual = {"stored": False, "labels_alone": False, "probabilities_alone": False}
        return {one.what for one in untestable(**(usual | form))}

    assert what() == {"what a trigger does", "the weights"}
    assert "detectors" in what(stored=True)
    assert "probabilities and logits" in what(stored=True, labels_alone=True)
    assert "logits" in what(stored=True, probabilities_alone=True)
