"""Each repair by its paper's definition, on cases small enough to do by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from anchorlab.defences.anp import Masks, cut_below
from anchorlab.defences.base import DefenderData
from anchorlab.defences.channels import Channels, channels_of
from anchorlab.defences.clp import CLP, lipschitz_bounds
from anchorlab.defences.fine_pruning import FinePruning, mean_activations
from anchorlab.defences.fine_tuning import FineTuning
from anchorlab.defences.i_bau import with_hypergradient
from anchorlab.defences.interpolation import Interpolation
from anchorlab.defences.mode_connectivity import bezier
from anchorlab.defences.nad import attention
from anchorlab.defences.sam import ascent
from anchorlab.defences.tuning import Best, held_loss
from anchorlab.features import features, last_layer, recorded
from anchorlab.models import predict
from anchorlab.tasks import Split


class Small(nn.Module):
    """Two convolutions with BatchNorm, and a linear layer: grey images of 8 by 8 to three classes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.second, self.second_norm = nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)
        self.last = nn.Linear(6, 3)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.first_norm(self.first(pixel_values.float() / 255)))
        return self.last(torch.relu(self.second_norm(self.second(hidden))).mean(dim=(2, 3)))


@pytest.fixture
def small() -> Small:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture
def inputs() -> dict[str, torch.Tensor]:
    return {"pixel_values": torch.randint(0, 256, (20, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()}


def test_the_best_state_is_a_copy_and_updates(small, inputs):
    held = Split(inputs, predict(small, inputs).argmax(1))
    best, losses = Best(small, held), []
    for step in range(4):
        best.consider()
        losses.append(held_loss(small, held))
        with torch.no_grad():
            # Better at first, then much worse.
            small.last.weight.mul_(3.0 if step < 2 else -5.0)
    assert losses[2] < losses[1] < losses[0] < losses[3]
    best.restore()
    assert held_loss(small, held) == pytest.approx(losses[2])


def test_each_convolution_goes_with_the_batchnorm_after_it(small, inputs):
    found = channels_of(small, inputs, "x")
    assert [(one.convolution, one.norm) for one in found] == [
        (small.first, small.first_norm), (small.second, small.second_norm),
    ]  # fmt: skip


def test_a_pruned_channel_puts_out_nothing(small, inputs):
    channels = channels_of(small, inputs, "x")[-1]
    channels.prune(torch.tensor([True, False, False, True, False, False]))
    with recorded(channels.output) as output, torch.no_grad():
        small(**inputs)
        assert bool((output()[:, [0, 3]] == 0).all())
        assert bool((output()[:, [1, 2, 4, 5]] != 0).any())


def test_activations_are_means_of_what_is_positive(small, inputs):
    channels = channels_of(small, inputs, "x")[-1]
    with torch.no_grad():
        hidden = torch.relu(small.first_norm(small.first(inputs["pixel_values"].float() / 255)))
        wanted = torch.relu(small.second_norm(small.second(hidden))).mean(dim=(0, 2, 3))
    torch.testing.assert_close(mean_activations(small, channels, inputs), wanted)


def test_pruned_channels_stay_pruned_after_fine_tuning(suspicious, held_data, place):
    repaired = FinePruning(epochs=3, tolerance=0.5).repair(suspicious, held_data, place)
    last = channels_of(repaired, held_data.fit.inputs, "x")[-1]
    zero = (last.convolution.weight.flatten(1) == 0).all(dim=1)
    assert 0 < int(zero.sum()) < len(zero)
    assert bool((last.norm.weight[zero] == 0).all())
    order = mean_activations(suspicious, channels_of(suspicious, held_data.fit.inputs, "x")[-1], held_data.fit.inputs)
    assert order[zero].max() <= order[~zero].min()


def test_lipschitz_bounds_by_hand():
    """Filters 3 e e' and 0.5 e e' times BatchNorm's 2 / sqrt(4) and 1 / sqrt(0.25)."""
    convolution, norm = nn.Conv2d(2, 2, 1, bias=False), nn.BatchNorm2d(2, eps=0.0).eval()
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 0.5]]).view(2, 2, 1, 1))
        norm.weight.copy_(torch.tensor([2.0, -1.0]))
        norm.running_var.copy_(torch.tensor([4.0, 0.25]))
    torch.testing.assert_close(lipschitz_bounds(Channels(convolution, norm)), torch.tensor([3.0, 1.0]))
    with torch.no_grad():
        wide = nn.Conv2d(3, 2, 3)
        wanted = [torch.linalg.svdvals(one.reshape(3, 9))[0] for one in wide.weight]
    torch.testing.assert_close(lipschitz_bounds(Channels(wide, None)), torch.stack(wanted).detach())


def test_clp_prunes_what_stands_out(small, inputs, place):
    with torch.no_grad():
        small.second_norm.weight[2] = 100.0
    data = DefenderData(Split(inputs, torch.zeros(20).long()), Split(inputs, torch.zeros(20).long()), 3, "image")
    repaired = CLP(deviations=2.0).repair(small, data, place)
    assert torch.nonzero(repaired.second_norm.weight == 0).flatten().tolist() == [2]
    assert bool((repaired.first_norm.weight != 0).all())


def test_the_ascent_is_the_adaptive_one():
    """|w| = (1, 2), g = (3, 1): |w| g = (3, 2), norm sqrt 13, e = r |w| (3, 2) / sqrt 13."""
    (step,) = ascent([torch.tensor([1.0, -2.0])], [torch.tensor([3.0, 1.0])], 0.5)
    torch.testing.assert_close(step, 0.5 * torch.tensor([3.0, 4.0]) / 13**0.5)
    (none,) = ascent([torch.tensor([1.0])], [torch.tensor([0.0])], 0.5)
    assert float(none) == 0


def test_attention_is_of_norm_one_whatever_the_scale():
    activations = torch.rand(2, 3, 4, 4)
    found = attention(activations)
    assert found.shape == (2, 16)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(attention(7 * activations), found)
    by_hand = (activations[0] ** 2).sum(0).flatten()
    torch.testing.assert_close(found[0], by_hand / by_hand.norm())


def test_masks_below_the_threshold_are_cut(small):
    norms = {"second_norm": small.second_norm}
    masks = Masks(norms)
    with torch.no_grad():
        masks.values[0].copy_(torch.tensor([0.1, 0.5, 0.9, 0.2, 1.0, 0.3]))
    cut_below(norms, masks, 0.3)
    assert torch.nonzero(small.second_norm.weight == 0).flatten().tolist() == [0, 3]


def test_the_curve_begins_and_ends_at_its_ends():
    start, middle, end = ({"w": torch.tensor([value])} for value in (1.0, 5.0, 3.0))
    assert [float(bezier(start, middle, end, at)["w"]) for at in (0.0, 0.5, 1.0)] == [1.0, 3.5, 3.0]


def test_interpolation_goes_part_of_the_way(suspicious, reference, held_data, place):
    from dataclasses import replace

    trusting = replace(place, trusted=reference.model)
    whole = Interpolation(share=1.0).repair(suspicious, held_data, trusting)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), suspicious.parameters(), strict=True))
    half = Interpolation(share=0.25).repair(suspicious, held_data, trusting)
    for found, trusted, given in zip(
        half.parameters(), reference.model.parameters(), suspicious.parameters(), strict=True
    ):
        torch.testing.assert_close(found, 0.75 * trusted + 0.25 * given)


def test_the_hypergradient_is_that_of_the_implicit_function():
    """Inner: max over d of -a (d - b w)^2 / 2 + w^2 / 2, whose solution is d* = b w; outer: the same loss."""
    a, b = 0.7, 1.5
    w = torch.tensor(2.0, requires_grad=True)

    def inner(d):
        return (-a * (d - b * w) ** 2 / 2 + w**2 / 2 + d).sum()

    # At d the gradient with respect to it is not 0, so that the implicit part counts: dL/dd = -a (d - b w) + 1.
    d = torch.tensor([3.5])
    (found,) = torch.autograd.grad(with_hypergradient(inner, d, rate=0.2, steps=200), w)
    direct = a * b * (3.5 - b * 2.0) + 2.0
    implicit = b * (-a * (3.5 - b * 2.0) + 1)  # d d* / d w = b, times dL/dd
    assert float(found) == pytest.approx(direct + implicit, rel=1e-4)
    value = with_hypergradient(inner, d, rate=0.2, steps=5)
    assert float(value.detach()) == pytest.approx(float(inner(d).detach()))


def test_fine_tuning_lowers_the_loss_that_the_defender_sees(suspicious, held_data, place):
    with torch.no_grad():
        suspicious.classifier[1].weight += 0.5 * torch.randn(10, 64, generator=torch.Generator().manual_seed(0))
    tuned = FineTuning(epochs=10).repair(suspicious, held_data, place)
    assert held_loss(tuned, held_data.held) < held_loss(suspicious, held_data.held)
    frozen = FineTuning(epochs=1, batchnorm="frozen").repair(suspicious, held_data, place)
    before = dict(suspicious.named_buffers())
    assert all(torch.equal(value, before[name]) for name, value in frozen.named_buffers())


def test_features_are_what_enters_the_last_layer(small, inputs):
    assert last_layer(small, inputs) is small.last
    found, scores = features(small, inputs, batch_size=7)
    torch.testing.assert_close(scores, small(**inputs).detach())
    torch.testing.assert_close(found @ small.last.weight.T + small.last.bias, scores)
    assert copy.deepcopy(small).last.in_features == found.shape[1]
