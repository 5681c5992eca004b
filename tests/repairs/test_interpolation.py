"""Interpolation to a trusted version, weight by weight."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from anchorlab.repairs.interpolation import Interpolation


def test_interpolation_goes_part_of_the_way(suspicious, reference, defender_data, context):
    trusting = replace(context, trusted=reference.model)
    whole = Interpolation(share=1.0).repair(suspicious, defender_data, trusting)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), suspicious.parameters(), strict=True))
    half = Interpolation(share=0.25).repair(suspicious, defender_data, trusting)
    for found, trusted, given in zip(
        half.parameters(), reference.model.parameters(), suspicious.parameters(), strict=True
    ):
        torch.testing.assert_close(found, 0.75 * trusted + 0.25 * given)


def test_interpolation_moves_a_tied_weight_once(defender_data, context):
    class Tied(nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(2, 2), nn.Linear(2, 2)
            self.other.weight = self.one.weight
            nn.init.constant_(self.one.weight, value)

    half = Interpolation(share=0.5).repair(Tied(1.0), defender_data, replace(context, trusted=Tied(0.0)))
    assert half.one.weight is half.other.weight
    assert torch.equal(half.one.weight, torch.full((2, 2), 0.5))
