"""BAN: noise on channels beside weights that were changed by hand; statistics follow the clean batches alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from anchorlab.defender.neuron_noise import noised_loss, worst_noise
from anchorlab.repairs.ban import BAN
from anchorlab.repairs.tuning import cross_entropy


def test_the_loss_under_noise_is_that_of_weights_changed_by_hand(small, known):
    draw = torch.Generator().manual_seed(0)
    noise = [(torch.rand(size, generator=draw) - 0.5, torch.rand(size, generator=draw) - 0.5) for size in (4, 6)]
    moved = copy.deepcopy(small)
    with torch.no_grad():
        for norm, (d, e) in zip((moved.first_norm, moved.second_norm), noise, strict=True):
            norm.weight.mul_(1 + d)
            norm.bias.mul_(1 + e)
    weights = dict(small.named_parameters())
    found = noised_loss(small, weights, ["first_norm", "second_norm"], noise, known.inputs, known.labels)
    assert float(found) == pytest.approx(float(cross_entropy(moved, known.inputs, known.labels)), rel=1e-5)


def test_the_worst_noise_raises_a_loss_within_its_box():
    """The loss is a known plane, so that each coordinate goes by the size of the box along the sign of its slope."""
    slopes = [(torch.tensor([1.0, -2.0]), torch.tensor([0.5, -0.1]))]

    def plane(noise):
        ((weights, biases),), ((first, second),) = noise, slopes
        return (weights * first).sum() + (biases * second).sum()

    found = worst_noise(plane, [2], 0.4, torch.Generator().manual_seed(0), torch.device("cpu"))
    start = (2 * torch.rand(2, 2, generator=torch.Generator().manual_seed(0)) - 1) * 0.4
    expected = (start + 0.4 * torch.stack(slopes[0]).sign()).clamp(-0.4, 0.4)
    torch.testing.assert_close(torch.stack(found[0]), expected)


def test_statistics_follow_each_clean_batch_once(suspicious, defender_data, context):
    repair = BAN(epochs=2)
    count = repair.steps(len(defender_data.train))
    repaired = repair.repair(suspicious, defender_data, context)
    norms = [name for name, one in suspicious.named_modules() if isinstance(one, nn.BatchNorm2d)]
    for name in norms:
        before, after = (int(one.get_submodule(name).num_batches_tracked) for one in (suspicious, repaired))
        assert after - before == count
