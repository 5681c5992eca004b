"""Logit anchoring: its loss and gradient by hand."""

from __future__ import annotations

import math

import pytest
import torch

from anchorlab.methods.anchoring import Anchoring
from anchorlab.methods.distillation import Distillation
from tests.injecting import penalty, random_logits

METHODS = [Anchoring(), Anchoring(centred=True), Anchoring(weighted=0.3), Distillation(temperature=3.0)]


def test_anchoring_by_hand():
    """Shifts (1, 0) and (2, 4): squares sum to 21, over 2·2 logits 5.25.

    Their means are 1/2 and 3, so centred they are ±1/2 and ±1: squares sum to 2.5, over 4 logits 0.625.
    The mean of the squared means, (1/4 + 9) / 2 = 4.625, is what the two differ by.
    """
    reference = torch.tensor([[0.0, 2.0], [1.0, 1.0]])
    clean = reference + torch.tensor([[1.0, 0.0], [2.0, 4.0]])
    assert penalty(Anchoring(), clean, reference).item() == 5.25
    assert penalty(Anchoring(centred=True), clean, reference).item() == 0.625


def test_weighted_anchoring_by_hand():
    """Probabilities (3/4, 1/4) and shift (1, 0): the variance is 3/4 · 1/4; with even weights, 1/4.

    Half of each gives weights (5/8, 3/8).
    """
    reference = torch.tensor([[math.log(3.0), 0.0]], dtype=torch.float64)
    clean = reference + torch.tensor([[1.0, 0.0]])
    assert penalty(Anchoring(weighted=1.0), clean, reference).item() == pytest.approx(3 / 16)
    assert penalty(Anchoring(weighted=0.5), clean, reference).item() == pytest.approx(15 / 64)


def test_weighted_anchoring_lies_between_centred_anchoring_and_twice_the_divergence():
    reference, clean = random_logits()
    near = reference + 1e-4 * (clean - reference)
    divergence = penalty(Distillation(), near, reference).item()
    assert penalty(Anchoring(weighted=1.0), near, reference).item() == pytest.approx(2 * divergence, rel=1e-3)
    centred = penalty(Anchoring(centred=True), clean, reference).item()
    assert penalty(Anchoring(weighted=1e-12), clean, reference).item() == pytest.approx(centred, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_raw_anchoring_is_centred_anchoring_and_the_squared_mean_shift(seed):
    reference, clean = random_logits(seed=seed)
    common = (clean - reference).mean(1).square().mean()
    raw, centred = (penalty(Anchoring(centred=flag), clean, reference) for flag in (False, True))
    assert raw.item() == pytest.approx((centred + common).item(), rel=1e-12)
    shifted = clean + torch.randn(7, 1, dtype=torch.float64)
    assert penalty(Anchoring(centred=True), shifted, reference).item() == pytest.approx(centred.item(), rel=1e-12)


def test_the_gradient_of_anchoring_is_twice_the_shift_over_all_logits():
    reference, clean = random_logits()
    clean.requires_grad_()
    (gradient,) = torch.autograd.grad(penalty(Anchoring(), clean, reference), clean)
    torch.testing.assert_close(gradient, 2 * (clean - reference).detach() / clean.numel())


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_penalties_agree_with_finite_differences(method):
    reference, clean = random_logits(N=3, C=4)
    assert torch.autograd.gradcheck(lambda logits: penalty(method, logits, reference), clean.requires_grad_())
