"""CLP: the Lipschitz bounds by hand, and the channels that they prune."""

from __future__ import annotations

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
