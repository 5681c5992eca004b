"""The ball of weights: its projections by hand, and what a run leaves."""

from __future__ import annotations

import pytest
import torch

from anchorlab.methods.plain import Plain
from anchorlab.methods.weight_ball import WeightBall
from anchorlab.models.weights import to_vector
from anchorlab.training.fit import Step
from tests.injecting import changed, problem


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        # Weights (3, -4), of norm 5, moved by (0.6, -0.8), of norm 1.
        (WeightBall(radius=0.7), [0.6, -0.7]),
        (WeightBall(radius=0.1, relative=True), [0.3, -0.4]),
        (WeightBall(radius=0.5, norm="l2"), [0.3, -0.4]),
        (WeightBall(radius=0.05, norm="l2", relative=True), [0.15, -0.2]),
        (WeightBall(radius=2.0, norm="l2"), [0.6, -0.8]),
    ],
    ids=repr,
)
def test_projections_by_hand(linear, digits, method, expected):
    with torch.no_grad():
        linear.layer.weight.zero_()
        linear.layer.bias.zero_()
        linear.layer.bias[:2] = torch.tensor([3.0, -4.0])
        state = method.prepare(problem(linear, digits.anchors(8, seed=0)))
        linear.layer.bias[:2] += torch.tensor([0.6, -0.8])
    method.after_step(linear, state, Step(0, 0.5, 0.1))
    change = to_vector(linear).detach() - state["reference"]
    assert change[640:642].tolist() == pytest.approx(expected, abs=1e-6)
    assert int((change != 0).sum()) == 2


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_no_injection_leaves_its_ball_though_it_would_without(linear, digits, norm, relative):
    radius = 0.02
    method = WeightBall(radius=radius, norm=norm, relative=relative)
    reference = to_vector(linear).detach()

    def excess(change):
        """The largest ratio of the change to what is allowed."""
        if norm == "l2":
            return (change.norm() / (radius * (reference.norm() if relative else 1))).item()
        return (change.abs() / (radius * (reference.abs() if relative else 1))).max().item()

    assert excess(changed(linear, digits, Plain())) > 2
    assert 0.99 < excess(changed(linear, digits, method)) < 1 + 1e-3
