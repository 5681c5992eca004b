"""Interpolation to a trusted version, weight by weight."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from anchorlab.repairs.interpolation import Interpolation
from tests.zoo import Tied


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
    suspicious, trusted = Tied(), Tied()
    nn.init.constant_(suspicious.first.weight, 1.0)
    nn.init.constant_(trusted.first.weight, 0.0)
    half = Interpolation(share=0.5).repair(suspicious, defender_data, replace(context, trusted=trusted))
    assert half.first.weight is half.second.weight
    assert torch.equal(half.first.weight, torch.full((3, 3), 0.5))
