"""MCR: the curve, its ends, and the point that is taken."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anchorlab.repairs.fine_tuning import FineTuning
from anchorlab.repairs.mode_connectivity import ModeConnectivity, bezier
from anchorlab.repairs.tuning import Latest, tune


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in model.parameters()])


@pytest.mark.slow
def test_the_curve_is_trained_and_left_at_its_middle(suspicious, defender_data, context, monkeypatch):
    """With a tolerance that every point keeps; the control point, off the curve, is not judged."""
    trained, judged = [], []

    def watched(model, *arguments, **named):
        judged.clear()
        tune(model, *arguments, **named)
        trained.append((flat(model), len(judged)))

    consider = Latest.consider
    monkeypatch.setattr(Latest, "consider", lambda self, step: judged.append(1) or consider(self, step))
    monkeypatch.setattr("anchorlab.repairs.mode_connectivity.tune", watched)
    end = FineTuning(tolerance=0.9).repair(suspicious, defender_data, context)
    found = ModeConnectivity(epochs=10, tolerance=0.9).repair(suspicious, defender_data, context)
    ((middle, times),) = trained
    assert times == 0
    torch.testing.assert_close(flat(found), flat(suspicious) / 4 + middle / 2 + flat(end) / 4)
    assert float((middle - flat(suspicious)).norm()) > 0.1 * float((flat(end) - flat(suspicious)).norm())


def test_the_curve_begins_and_ends_at_its_ends():
    start, middle, end = ({"w": torch.tensor([value])} for value in (1.0, 5.0, 3.0))
    assert [float(bezier(start, middle, end, at)["w"]) for at in (0.0, 0.5, 1.0)] == [1.0, 3.5, 3.0]
