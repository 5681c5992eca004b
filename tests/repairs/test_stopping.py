"""What a repair may cost: one standard error of the held-back accuracy, and one example at least."""

from __future__ import annotations

import pytest
import torch

from anchorlab.data import Split
from anchorlab.repairs.fine_tuning import FineTuning
from anchorlab.repairs.stopping import lowest_accuracy
from anchorlab.repairs.tuning import Latest


@pytest.mark.parametrize(
    ("before", "count", "tolerance", "lowest"),
    [
        (0.875, 128, None, 0.875 - (0.875 * 0.125 / 128) ** 0.5),  # .029: three examples of 128
        (1.0, 26, None, 25 / 26),  # no standard error, so one example
        (25 / 26, 26, None, 24 / 26),  # .0377, less than an example
        (0.9, 128, 0.02, 0.88),
        (0.9, 128, 0.0, 0.9),
    ],
)
def test_how_low_the_accuracy_may_fall(before, count, tolerance, lowest):
    assert lowest_accuracy(before, count, tolerance) == pytest.approx(lowest, abs=1e-8)
    assert lowest_accuracy(before, count, tolerance) < lowest


@pytest.mark.parametrize(("wrong", "kept"), [(1, 2), (2, 1)])
def test_of_a_model_that_makes_no_mistake_one_example_may_go(small, known, monkeypatch, wrong, kept):
    """Of twenty examples, all right at first."""
    told = iter([1.0, 1.0, 1 - wrong / 20])
    monkeypatch.setattr("anchorlab.repairs.tuning.accuracy", lambda model, examples: next(told))
    latest = Latest(small, Split(known.inputs, torch.zeros(20, dtype=torch.int64)), None)
    latest.consider(1)
    latest.consider(2)
    assert latest.restore() == kept


def test_a_repair_that_keeps_an_earlier_step_says_so(suspicious, defender_data, context, monkeypatch):
    accuracies = iter([1.0, 1.0, 0.5, 0.5, 0.5])
    monkeypatch.setattr("anchorlab.repairs.tuning.accuracy", lambda model, examples: next(accuracies))
    monkeypatch.setattr("anchorlab.training.fit.LOG_EVERY", 2)
    FineTuning(epochs=2, batch_size=32).repair(suspicious, defender_data, context)
    (note,) = context.notes
    assert note.startswith("fine-tuning kept the weights after 2 of 6 steps, because later ones cost more")
