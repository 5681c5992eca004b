"""The table of an adapter, on numbers that can be redone by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from anchorlab.perturbation.low_rank import LowRank
from anchorlab.perturbation.tables.adapter import OUTSIDE, WHOLE, adapter_shares
from anchorlab.perturbation.weights import Perturbation


def test_norms_ranks_and_shares():
    """The weight changes by diag(3, 4), of which diag(3, 0) is the product; the bias by (0, 12).

    Squares: 9 of the product in 9 + 16 + 144 = 169.
    """
    net = nn.Linear(2, 2)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[6.0, 0.0], [0.0, 8.0]]))
        net.bias.zero_()
    change = {"weight": torch.diag(torch.tensor([3.0, 4.0])), "bias": torch.tensor([0.0, 12.0])}
    added = LowRank({"weight": torch.diag(torch.tensor([3.0, 0.0]))}, {"weight": 2})
    table = adapter_shares(net, Perturbation(change, {}), added).set_index("weight")
    assert list(table.index) == [WHOLE, "weight", OUTSIDE]
    row = table.loc["weight"]
    assert (row["rank"], row["numerical_rank"], row["l2"]) == (2, 1, 3)
    assert row["relative"] == pytest.approx(0.3)
    assert row["share"] == pytest.approx(9 / 169)
    assert row["effective_rank"] == pytest.approx(1)
    assert table.loc[OUTSIDE, "l2"] == pytest.approx(math.sqrt(160))
    assert table.loc[OUTSIDE, "share"] == pytest.approx(160 / 169)


def test_singular_values_that_are_rounding_count_to_no_rank():
    net = nn.Linear(3, 3)
    change = torch.diag(torch.tensor([3.0, 2e-5, 4e-4]))
    table = adapter_shares(net, Perturbation({"weight": change}, {}), LowRank({"weight": change}, {"weight": 3}))
    assert table.set_index("weight").loc["weight", "numerical_rank"] == 2
