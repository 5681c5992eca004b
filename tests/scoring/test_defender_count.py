"""Python's verbs without a number of clean examples, on a task that has fewer of them than usual."""

from __future__ import annotations

import pytest

from anchorlab import AnchorlabError, Artifact, Task, detect, detect_inputs, repair, score_stability
from anchorlab.repairs import FineTuning


def test_the_verbs_take_all_clean_examples_where_there_are_fewer_than_usual(injected: Artifact, digits: Task) -> None:
    there, few = len(digits.split("defender")), digits.split("test").inputs["pixel_values"][:4]
    detect(injected, "last-layer", task=digits)
    detect_inputs(injected, few, ["spectral-signatures"], task=digits)
    repaired = repair(injected, FineTuning(epochs=1), task=digits)
    assert repaired.manifest.defender is not None
    assert repaired.manifest.defender.count == there < 640
    score_stability(injected, FineTuning(epochs=1), task=digits, repaired=repaired)


def test_a_number_that_is_asked_for_and_too_large_is_refused(injected: Artifact, digits: Task) -> None:
    with pytest.raises(AnchorlabError, match="640 clean examples for the defender are not possible"):
        detect(injected, "last-layer", task=digits, defender_data=640)
