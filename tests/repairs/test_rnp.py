"""RNP: the masks' gradient by finite differences, and a climb that ends where it should."""

from __future__ import annotations

import copy

import pytest
import torch

from anchorlab.models.call import accuracy
from anchorlab.models.hooks import norms_of
from anchorlab.repairs.anp import Masks
from anchorlab.repairs.rnp import RNP, masked_loss


def test_the_gradient_of_the_masks_is_that_of_finite_differences(small, known):
    """The differences are taken in double precision, with the masks multiplied into the weights themselves."""
    masks = Masks(norms_of(small, "RNP"))
    with torch.no_grad():
        masks.values[1].copy_(torch.linspace(0.4, 0.9, 6))
    weights = {name: value.detach() for name, value in small.named_parameters()}
    loss = masked_loss(small, weights, masks, known.inputs, known.labels)
    (slopes,) = torch.autograd.grad(loss, [masks.values[1]])
    exact = copy.deepcopy(small).double()
    assert float(loss.detach()) == pytest.approx(by_hand(exact, masks.values[1].detach().double(), known), rel=1e-5)
    for channel in range(6):
        moved = []
        for step in (1e-6, -1e-6):
            mask = masks.values[1].detach().double()
            mask[channel] += step
            moved.append(by_hand(exact, mask, known))
        assert float(slopes[channel]) == pytest.approx((moved[0] - moved[1]) / 2e-6, rel=1e-3, abs=1e-6)


@torch.no_grad()
def by_hand(small, mask, known) -> float:
    """The loss with the second layer's weights times a mask."""
    masked = copy.deepcopy(small)
    masked.second_norm.weight.mul_(mask)
    answers = masked.last(features(masked, known.inputs["pixel_values"]))
    return float(torch.nn.functional.cross_entropy(answers, known.labels))


def features(small, pixels):
    hidden = torch.relu(small.first_norm(small.first(pixels.double() / 255)))
    return torch.relu(small.second_norm(small.second(hidden))).mean(dim=(2, 3))


def test_the_climb_ends_at_the_accuracy_and_says_so_if_it_does_not(suspicious, defender_data, context):
    repair = RNP(batch_size=32)
    forgetful = repair.unlearned(suspicious, defender_data, context)
    assert accuracy(forgetful, defender_data.train) <= repair.accuracy < accuracy(suspicious, defender_data.train)
    assert context.notes == []
    RNP(batch_size=32, unlearning_epochs=1, unlearning_rate=1e-6).unlearned(suspicious, defender_data, context)
    assert "the task was not forgotten" in context.notes[0]


def test_masks_that_did_not_move_prune_nothing_and_the_repair_says_so(suspicious, defender_data, context):
    repair = RNP(batch_size=32, recovery_epochs=1, recovery_rate=1e-9)
    repaired = repair.repair(suspicious, defender_data, context)
    assert all(torch.equal(a, b) for a, b in zip(repaired.parameters(), suspicious.parameters(), strict=True))
    assert "no mask fell below 0.95" in context.notes[0]
