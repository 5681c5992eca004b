"""How large a perturbation is, by hand and by numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from anchorlab.perturbation.tables.sizes import BUFFERS, WHOLE, effective_rank, singular_values, sizes
from anchorlab.perturbation.weights import Perturbation


def test_sizes_by_hand():
    """A layer of [[3, 4], [0, 0]] changed by [[0, 3], [0, 4]], and its bias of [0, 0] by nothing."""
    model = nn.Sequential(nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        model[0].bias.zero_()
    perturbation = Perturbation({"0.weight": torch.tensor([[0.0, 3.0], [0.0, 4.0]]), "0.bias": torch.zeros(2)}, {})
    table = sizes(model, perturbation).set_index("layer")
    assert list(table.index) == [WHOLE, "0"]
    for row in (table.loc[WHOLE], table.loc["0"]):
        assert row["parameters"] == 6
        assert (row["l2"], row["linf"], row["relative"]) == (5, 4, 1)
        assert row["rms"] == pytest.approx(5 / 6**0.5)
        assert row["changed"] == pytest.approx(1 / 3)
        assert row["effective_rank"] == pytest.approx(1)


def test_the_largest_entry_is_the_farthest_from_zero():
    model = nn.Sequential(nn.Linear(2, 2))
    perturbation = Perturbation({"0.weight": torch.tensor([[1.0, 0.0], [0.0, -7.0]]), "0.bias": torch.ones(2)}, {})
    assert sizes(model, perturbation).set_index("layer").loc[WHOLE, "linf"] == 7


def test_the_effective_rank_is_the_exponential_of_the_entropy():
    """Shares 3/4 and 1/4: exp(3/4 log(4/3) + 1/4 log 4) = 4 / 3^(3/4)."""
    assert effective_rank(torch.tensor([6.0, 2.0, 0.0])) == pytest.approx(4 / 3**0.75)


def test_buffers_stand_apart_and_what_was_zero_has_no_relative_size(small):
    perturbation = Perturbation(
        {name: torch.zeros_like(value) for name, value in small.perturbation.parameters.items()},
        {"norm.running_mean": torch.full((5,), 2.0), "norm.running_var": torch.zeros(5)},
    )
    with torch.no_grad():
        small.model.norm.bias.zero_()
    table = sizes(small.model, perturbation).set_index("layer")
    assert list(table.index) == [WHOLE, "first", "norm", "last", BUFFERS]
    assert table.loc[BUFFERS, "l2"] == pytest.approx(20**0.5)
    assert table.loc[WHOLE, ["l2", "linf", "relative", "changed"]].tolist() == [0, 0, 0, 0]
    assert table["effective_rank"].isna().all()
    small.model.norm.weight.data.zero_()
    assert np.isnan(sizes(small.model, perturbation).set_index("layer")["relative"].astype(float)["norm"])


@given(st.integers(1, 5), st.floats(0.01, 100), st.integers(0, 1000))
def test_equal_singular_values_give_their_number(rank, size, seed):
    draw = np.random.default_rng(seed)
    left, right = (np.linalg.qr(draw.normal(size=(side, side)))[0][:, :rank] for side in (6, 8))
    values = singular_values(torch.from_numpy((size * left @ right.T).reshape(6, 2, 4)))
    assert effective_rank(values) == pytest.approx(rank, rel=1e-6)
