"""Weights as values: vectors, masks, what is trainable, models between two models."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from anchorlab.models.weights import (
    copy_requires_grad,
    from_vector_,
    frozen,
    interpolate,
    largest,
    restrict,
    to_vector,
    undo_outside_,
)


class Counting(nn.Module):
    """A linear layer and BatchNorm, whose buffers are running statistics and a count."""

    def __init__(self, value: float, count: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        with torch.no_grad():
            for tensor in (*self.parameters(), self.norm.running_mean, self.norm.running_var):
                tensor.fill_(value)
            self.norm.num_batches_tracked.fill_(count)


@pytest.mark.parametrize(("factor", "value"), [(0.0, 1.0), (0.25, 2.0), (1.0, 5.0), (1.5, 7.0)])
def test_between_two_models_buffers_move_too_and_counts_stay_the_candidates(factor, value):
    reference, candidate = Counting(1.0, 3), Counting(5.0, 8).eval()
    between = interpolate(reference, candidate, factor)
    assert all(bool((tensor == value).all()) for tensor in between.state_dict().values() if tensor.is_floating_point())
    assert int(between.norm.num_batches_tracked) == 8
    assert not between.training
    assert bool((candidate.linear.weight == 5).all())
    assert bool((reference.linear.weight == 1).all())


def test_beyond_two_models_no_variance_is_negative() -> None:
    beyond = interpolate(Counting(5.0, 0), Counting(1.0, 0).eval(), 1.5)
    assert bool((beyond.norm.running_var == 0).all())
    assert bool((beyond.linear.weight == -1).all())
    assert bool(beyond.norm(beyond.linear(torch.ones(3, 2))).isfinite().all())


def test_a_vector_written_back_gives_the_same_model(linear):
    vector = to_vector(linear).detach().clone()
    other = copy.deepcopy(linear)
    from_vector_(other, vector + 1)
    assert torch.equal(to_vector(other), vector + 1)
    undo_outside_(other, vector, largest(vector, 5))
    assert int((to_vector(other) != vector).sum()) == 5


@pytest.mark.parametrize("count", [0, 1, 3, 9])
def test_the_largest_are_exactly_as_many_as_asked_for(count):
    values = torch.tensor([2.0, 2.0, 2.0, 5.0])
    mask = largest(values, count)
    assert int(mask.sum()) == min(count, 4)
    assert count == 0 or bool(mask[3])


def test_what_is_trainable_is_restricted_frozen_and_restored():
    model, other = Counting(1.0, 0), Counting(1.0, 0)
    restrict(model, "linear.*")
    flags = [parameter.requires_grad for parameter in model.parameters()]
    assert flags == [True, True, False, False]
    with frozen(model):
        assert not any(parameter.requires_grad for parameter in model.parameters())
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    copy_requires_grad(model, other)
    assert [parameter.requires_grad for parameter in other.parameters()] == flags
