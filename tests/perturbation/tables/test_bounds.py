"""What theory allows is never exceeded, and nearly reached where it is tight."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anchorlab import AnchorlabError
from anchorlab.metrics import Pair
from anchorlab.perturbation.tables.bounds import bounds_of


@given(
    st.integers(2, 12),
    st.sampled_from([1e-6, 1e-3, 0.1, 1.0, 10.0, 30.0]),
    st.sampled_from([0.0, 0.5, 3.0, 20.0]),
    st.integers(0, 10_000),
)
def test_no_bound_is_violated(classes, shift, spread, seed):
    draw = np.random.default_rng(seed)
    before = np.round(spread * draw.normal(size=(30, classes)), int(seed % 3))  # some of them tied
    after = before + shift * draw.normal(size=(30, classes))
    table, values = bounds_of(Pair(before, after), draw.integers(0, classes, 30))
    assert (table["violations"] == 0).all()
    assert (table["measured"] <= table["bound_mean"] * (1 + 1e-9) + 1e-12).all()
    assert (values["range"] ** 2 <= 2 * values["centred"] ** 2 * (1 + 1e-9)).all()


def test_the_case_in_which_they_are_tight():
    """Two classes, p = (1/2, 1/2), d = (e, -e): KL = log cosh e, |c|^2 = 2 e^2, r = 2 e."""
    e = 0.01
    table, values = bounds_of(Pair([[0.0, 0.0]], [[e, -e]]), np.array([0]))
    rows = table.set_index("bound")
    assert values.loc[0, "range"] == pytest.approx(2 * e)
    assert rows.loc["KL by norm", "measured"] == pytest.approx(math.log(math.cosh(e)), rel=1e-9)
    assert rows.loc["KL by norm", "bound_mean"] == pytest.approx(e**2 / 2)
    assert rows.loc["KL by range", "largest_ratio"] == pytest.approx(1, abs=1e-4)
    assert rows.loc["total variation", "measured"] == pytest.approx(math.tanh(e) / 2)
    assert rows.loc["probability distance", "largest_ratio"] == pytest.approx(1, abs=1e-3)


def test_each_bound_by_hand():
    """Of three classes, d = (3, 0, 0) + 5: r = 3, |c|^2 = 6. The margin 4 lies above r and above sqrt(2) |c|."""
    table, values = bounds_of(Pair([[4.0, 0.0, 0.0]], [[12.0, 5.0, 5.0]]), np.array([0]))
    assert values.loc[0, ["range", "margin"]].tolist() == [3, 4]
    assert values.loc[0, "centred"] == pytest.approx(math.sqrt(6))
    expected = {
        "KL by range": 9 / 8,
        "KL by norm": 6 / 4,
        "symmetric KL": 6 / 4,
        "Jensen-Shannon": 9 / 32,
        "total variation": math.tanh(3 / 4),
        "probability distance": math.sqrt(6) / 2,
        "loss": 3,
        "flip by range": 0,
        "flip by norm": 0,
    }
    assert table.set_index("bound")["bound_mean"].to_dict() == pytest.approx(expected)


def test_flips_by_hand():
    """Margins 1, 1, 4; ranges 2, 0.5, 2: the first flips, the second could not, the third could not."""
    before = [[1.0, 0.0], [1.0, 0.0], [4.0, 0.0]]
    after = [[0.0, 1.0], [0.75, 0.25], [3.0, 1.0]]
    table, values = bounds_of(Pair(before, after), np.array([0, 0, 0]))
    assert values["margin"].tolist() == [1, 1, 4]
    assert values["churned"].tolist() == [True, False, False]
    flips = table.set_index("bound").loc["flip by range"]
    assert (flips["measured"], flips["bound_mean"]) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert np.isnan(flips["largest_ratio"])


def test_a_violation_is_an_error(monkeypatch):
    pair = Pair([[0.0, 0.0]], [[0.1, -0.1]])
    monkeypatch.setattr(Pair, "kl", np.array([1.0]))
    with pytest.raises(AnchorlabError, match=r"KL <= r\^2/8 is violated by 1 of 1 instances, .* number 0 with 1 "):
        bounds_of(pair, np.array([0]))
