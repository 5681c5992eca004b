"""FT-SAM: the ascent by hand, and the gradient at the worst point nearby."""

from __future__ import annotations

import copy

import pytest
import torch

from anchorlab.repairs import tuning
from anchorlab.repairs.ft_sam import FTSAM, ascent
from anchorlab.repairs.tuning import cross_entropy


def test_the_ascent_is_the_adaptive_one():
    """|w| = (1, 2), g = (3, 1): |w| g = (3, 2), norm sqrt 13, e = r |w| (3, 2) / sqrt 13."""
    (step,) = ascent([torch.tensor([1.0, -2.0])], [torch.tensor([3.0, 1.0])], 0.5)
    torch.testing.assert_close(step, 0.5 * torch.tensor([3.0, 4.0]) / 13**0.5)
    (none,) = ascent([torch.tensor([1.0])], [torch.tensor([0.0])], 0.5)
    assert float(none) == 0


def test_labels_are_smoothed_and_weights_decay_as_published(suspicious, defender_data, context, monkeypatch):
    settings = []
    real = tuning.fit

    def fit(model, objective, optimisation, **options):
        settings.append(optimisation)
        return real(model, objective, optimisation, **options)

    monkeypatch.setattr(tuning, "fit", fit)
    FTSAM(epochs=1).repair(suspicious, defender_data, context)
    assert [each.weight_decay for each in settings] == [5e-4]
    answers, labels = torch.tensor([[2.0, 0, -1]]), torch.tensor([0])
    log = answers.log_softmax(1)[0]
    assert float(FTSAM()._smoothed(answers, labels)) == pytest.approx(float(-0.9 * log[0] - 0.1 * log.mean()))


def test_ft_sam_lowers_the_loss_at_the_worst_place_nearby(small, known):
    """Against weights that were moved by hand; the gradient is the one there."""
    small.requires_grad_()
    loss = FTSAM(radius=0.5, label_smoothing=0)._loss(small, known.inputs, known.labels)
    found = torch.autograd.grad(loss, list(small.parameters()))
    here = torch.autograd.grad(cross_entropy(small, known.inputs, known.labels), list(small.parameters()))
    moved = copy.deepcopy(small)
    with torch.no_grad():
        for weight, step in zip(moved.parameters(), ascent(list(small.parameters()), list(here), 0.5), strict=True):
            weight.add_(step)
    there = cross_entropy(moved, known.inputs, known.labels)
    assert loss.item() == pytest.approx(there.item())
    assert loss.item() > cross_entropy(small, known.inputs, known.labels).item() + 0.05
    for one, other in zip(found, torch.autograd.grad(there, list(moved.parameters())), strict=True):
        torch.testing.assert_close(one, other)
