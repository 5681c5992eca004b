"""CLP: the Lipschitz bounds by hand, and the channels that they prune."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from anchorlab.data import Split
from anchorlab.defender.context import DefenderData
from anchorlab.repairs.channels import Channels
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
