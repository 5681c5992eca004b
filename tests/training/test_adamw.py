"""AdamW and clipping give torch's bits."""

from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.utils import clip_grad_norm_

from anchorlab.training.adamw import AdamW, clip_gradients


def fresh():
    """Parameters of different shapes and layouts."""
    draw = torch.Generator().manual_seed(0)
    values = [
        torch.randn(3, 5, generator=draw),
        torch.randn(7, generator=draw),
        torch.randn(4, 2, 3, 3, generator=draw),
    ]
    values[2] = values[2].to(memory_format=torch.channels_last)
    return [nn.Parameter(value) for value in values]


def give_gradients(parameters, step, without=()):
    for number, parameter in enumerate(parameters):
        draw = torch.Generator().manual_seed(100 * step + number)
        gradient = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=draw))
        parameter.grad = None if (step, number) in without else gradient


def walked(optimiser_class, steps, without=(), reload_at=None):
    """Parameters and optimiser after some steps; the rate changes, and the state is put back once."""
    parameters = fresh()
    optimiser = optimiser_class(parameters, lr=0.1, weight_decay=0.05, fused=True)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 0.1 / (step + 1)
        give_gradients(parameters, step, without)
        optimiser.step()
        if step == reload_at:
            optimiser.load_state_dict(optimiser.state_dict())
    return parameters, optimiser


@pytest.mark.parametrize(
    ("without", "reload_at"),
    [((), None), ((), 2), ([(3, 1)], None), ([(0, 2)], None), ([(step, 0) for step in range(6)], 3)],
    ids=["plain", "reloaded", "one without a gradient", "none at first", "never"],
)
def test_steps_are_torchs_to_the_bit(without, reload_at):
    (ours, our_optimiser), (theirs, their_optimiser) = (
        walked(kind, 6, without, reload_at) for kind in (AdamW, torch.optim.AdamW)
    )
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    our_state, their_state = our_optimiser.state_dict()["state"], their_optimiser.state_dict()["state"]
    assert our_state.keys() == their_state.keys()
    for number, entries in their_state.items():
        assert all(torch.equal(our_state[number][name], value) for name, value in entries.items())


def clipped(gradients, largest):
    """Parameters with these gradients after clipping by us and by torch, and both norms."""
    both = []
    for clip in (
        lambda them: clip_gradients(them, largest, Accelerator()),
        lambda them: clip_grad_norm_(them, largest),
    ):
        parameters = [nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.clone()
        both.append((parameters, clip(parameters)))
    return both


@pytest.mark.parametrize("largest", [0.7, 4.9999, 5.0, 5.000001, 5.1, 100.0])
def test_clipping_gives_torchs_bits_whether_or_not_gradients_are_long(largest):
    (ours, our_norm), (theirs, their_norm) = clipped([torch.tensor([3.0, 0.1, -0.0]), torch.tensor([[4.0]])], largest)
    assert torch.equal(our_norm, their_norm)
    for one, other in zip(ours, theirs, strict=True):
        assert one.grad.numpy().tobytes() == other.grad.numpy().tobytes()


def test_clipping_takes_a_gradient_that_is_not_a_number_and_parameters_without_one():
    (ours, norm), (theirs, _) = clipped([torch.tensor([torch.nan, 1.0]), torch.tensor([2.0])], 100.0)
    assert norm.isnan()
    assert all(torch.equal(a.grad, b.grad) or a.grad.isnan().all() for a, b in zip(ours, theirs, strict=True))
    assert clip_gradients([nn.Parameter(torch.zeros(1))], 1.0, Accelerator()) == 0
