"""Clipping gives torch's bits."""

from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.utils import clip_grad_norm_

from anchorlab.training.clipping import clip_gradients


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
