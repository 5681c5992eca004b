"""CLP: the Lipschitz bounds by hand, and the channels that they prune."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from anchorlab.data import Split
from anchorlab.defender.context import DefenderData
from anchorlab.repairs.channels import Channels, channels_of
from anchorlab.repairs.clp import CLP, lipschitz_bounds


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


def test_clp_prunes_what_stands_out(small, inputs, context):
    with torch.no_grad():
        small.second_norm.weight[2] = 100.0
    data = DefenderData(Split(inputs, torch.zeros(20).long()), Split(inputs, torch.zeros(20).long()), 3, "image")
    repaired = CLP(deviations=2.0).repair(small, data, context)
    assert torch.nonzero(repaired.second_norm.weight == 0).flatten().tolist() == [2]
    assert bool((repaired.first_norm.weight != 0).all())


def test_clp_says_that_it_pruned_nothing_and_why(small, inputs, context):
    data = DefenderData(Split(inputs, torch.zeros(20).long()), Split(inputs, torch.zeros(20).long()), 3, "image")
    context = replace(context, notes=[])
    before = {name: value.clone() for name, value in small.state_dict().items()}
    repaired = CLP(deviations=1000.0).repair(small, data, context)
    assert all(torch.equal(value, before[name]) for name, value in repaired.state_dict().items())
    assert context.notes == [
        "nothing was pruned, because no channel lies more than 1000 standard deviations above its layer's mean"
    ]


def test_clp_says_that_there_is_no_batchnorm(inputs, context):
    channels = next(iter(inputs.values())).shape[1]

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = nn.Conv2d(channels, 3, 3)

        def forward(self, pixel_values):
            return self.convolution(pixel_values.float()).mean((2, 3))

    data = DefenderData(Split(inputs, torch.zeros(20).long()), Split(inputs, torch.zeros(20).long()), 3, "image")
    context = replace(context, notes=[])
    CLP().repair(Plain().eval(), data, context)
    assert context.notes[0].startswith("nothing was pruned, because the network has no BatchNorm")


class Block(nn.Module):
    """Adds to a sum what a convolution makes of it, normalised."""

    def __init__(self, shortcut: nn.Module, *, in_place: bool) -> None:
        super().__init__()
        self.norm, self.convolution, self.shortcut = nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, padding=1), shortcut
        self.in_place = in_place

    def forward(self, hidden: Tensor) -> Tensor:
        added: Tensor = self.convolution(torch.relu(self.norm(hidden)))
        if not self.in_place:
            return added + self.shortcut(hidden)
        added += self.shortcut(hidden)
        return added


class PreActivation(nn.Module):
    """Normalises before it convolves, as BackdoorBench's PreActResNet18."""

    def __init__(self, *, in_place: bool) -> None:
        super().__init__()
        self.stem, self.first = nn.Conv2d(1, 6, 3), Block(nn.Identity(), in_place=in_place)
        self.second, self.last = Block(nn.Conv2d(6, 6, 1), in_place=in_place), nn.Linear(6, 3)

    def forward(self, pixel_values: Tensor) -> Tensor:
        logits: Tensor = self.last(self.second(self.first(self.stem(pixel_values.float() / 255))).mean(dim=(2, 3)))
        return logits


@pytest.mark.parametrize("in_place", [True, False])
def test_where_others_read_what_a_convolution_puts_out_its_batchnorm_alone_is_pruned(inputs, context, in_place):
    """As in the authors' code: the sum goes on as it was, and convolutions without a BatchNorm lose nothing."""
    torch.manual_seed(0)
    model = PreActivation(in_place=in_place).eval()
    with torch.no_grad():
        model.first.norm.weight[1] = 100.0
        model.second.norm.weight[2] = 100.0
        model.second.convolution.weight[4] *= 1000.0
    data = DefenderData(Split(inputs, torch.zeros(20).long()), Split(inputs, torch.zeros(20).long()), 3, "image")
    repaired = CLP(deviations=2.0).repair(model, data, context)
    before = model.state_dict()
    changed = {name for name, value in repaired.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"first.norm.weight", "second.norm.weight"}  # biases are 0 before
    assert torch.nonzero(repaired.first.norm.weight == 0).flatten().tolist() == [1]
    assert torch.nonzero(repaired.second.norm.weight == 0).flatten().tolist() == [2]


def test_where_only_its_batchnorm_reads_a_convolution_both_are_pruned(small, inputs):
    """So that the weights of models that were pruned before stay what they were."""
    first, _ = channels_of(small, inputs, "x")
    first.prune(torch.arange(4) == 1)
    assert not first.shared
    assert bool((small.first.weight[1] == 0).all())
    assert (small.first_norm.weight == 0).tolist() == [False, True, False, False]
