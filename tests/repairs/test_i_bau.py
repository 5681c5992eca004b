"""I-BAU: the search, its rounds, and the hypergradient by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from anchorlab.models.call import predict
from anchorlab.repairs.i_bau import IBAU, _UnlearningLoss, search_objective, with_hypergradient
from anchorlab.repairs.tuning import cross_entropy


def test_the_search_raises_the_loss_within_its_ball(suspicious, defender_data):
    pixels = defender_data.train.inputs["pixel_values"]
    said = predict(suspicious, defender_data.train.inputs).argmax(1)
    nothing = torch.zeros(pixels.shape[1:])
    before = search_objective(suspicious, pixels, said, nothing).item()
    for radius in (0.5, 2.0):
        found = IBAU(radius=radius).search(suspicious, pixels, 0)
        assert float(found.norm()) == pytest.approx(radius, rel=1e-5)
        assert search_objective(suspicious, pixels, said, found).item() > 2 * before
    assert torch.equal(found, IBAU(radius=2.0).search(suspicious, pixels, 0))


def test_two_steps_of_the_search_by_hand():
    """Two classes, scores x w and 0 of one pixel x: the loss towards the first is log(1 + exp(-w x))."""

    class Scaled(nn.Module):
        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            score = 3.0 * pixel_values.float().flatten(1) / 255
            return torch.cat([score, torch.zeros_like(score)], dim=1)

    pixels = torch.full((1, 1, 1, 1), 204, dtype=torch.uint8)  # 0.8
    d = 0.0
    for _ in range(2):
        d += 0.25 * (-3.0 / (1 + math.exp(3.0 * (0.8 + d))) - 2 * 0.001 * d)
    found = IBAU(search_steps=2, search_rate=0.25).search(Scaled(), pixels, 0)
    assert float(found) == pytest.approx(d, rel=1e-5)


def test_i_bau_searches_at_the_start_of_each_round_and_unlearns_on_one_image(
    suspicious, defender_data, context, monkeypatch
):
    """Steps are shared out among the rounds; in the outer loss the first image alone carries the perturbation."""
    sought, losses = [], []
    how = IBAU(epochs=3, rounds=4)
    steps = how.steps(len(defender_data.train))
    given = torch.full(defender_data.train.inputs["pixel_values"].shape[1:], 0.3)
    monkeypatch.setattr(IBAU, "search", lambda *_: sought.append(len(losses)) or given)
    original = _UnlearningLoss.__call__

    def watched(self, model, inputs, labels):
        value = original(self, model, inputs, labels)
        pixels = inputs["pixel_values"].float()
        pixels[0] = (pixels[0] + 255 * given).clamp(0, 255)
        losses.append((value.item(), cross_entropy(model, {"pixel_values": pixels}, labels).item()))
        return value

    monkeypatch.setattr(_UnlearningLoss, "__call__", watched)
    how.repair(suspicious, defender_data, context)
    length = math.ceil(steps / 4)
    assert len(losses) == steps
    assert sought == list(range(0, steps, length))
    for found, wanted in losses:
        assert found == pytest.approx(wanted, rel=1e-5)


def test_the_hypergradient_is_that_of_the_implicit_function():
    """Inner: max over d of -a (d - b w)^2 / 2 + w^2 / 2, whose solution is d* = b w; outer: the same loss."""
    a, b = 0.7, 1.5
    w = torch.tensor(2.0, requires_grad=True)

    def inner(d):
        return (-a * (d - b * w) ** 2 / 2 + w**2 / 2 + d).sum()

    # At d the gradient with respect to it is not 0, so that the implicit part counts: dL/dd = -a (d - b w) + 1.
    d = torch.tensor([3.5])
    (found,) = torch.autograd.grad(with_hypergradient(inner, inner, d, rate=0.2, steps=200), w)
    direct = a * b * (3.5 - b * 2.0) + 2.0
    implicit = b * (-a * (3.5 - b * 2.0) + 1)  # d d* / d w = b, times dL/dd
    assert float(found) == pytest.approx(direct + implicit, rel=1e-4)
    other = torch.autograd.grad(with_hypergradient(lambda d: 3 * inner(d), inner, d, rate=0.2, steps=200), w)
    assert float(other[0]) == pytest.approx(3 * (direct + implicit), rel=1e-4)
    (none,) = torch.autograd.grad(with_hypergradient(inner, inner, d, rate=0.2, steps=0), w)
    assert float(none) == pytest.approx(direct)
    value = with_hypergradient(inner, inner, d, rate=0.2, steps=5)
    assert float(value.detach()) == pytest.approx(float(inner(d).detach()))
