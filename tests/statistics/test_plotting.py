"""Plots of results: a row for each value, intervals and runs, and axes that can hold them."""

from __future__ import annotations

import matplotlib as mpl
import pytest

from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.plotting import Measured, plot_estimates

ROWS = [Measured("a $x$", Estimate(0.5, 0.4, 0.7), runs=[0.45, 0.55]), Measured("b", Estimate(0.05))]


def test_a_row_for_each_value() -> None:
    (axis,) = plot_estimates({"churn": ROWS}).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == [r"a \$x\$", "b"]
    assert axis.get_xlabel() == "churn"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_what_is_undefined_has_no_row(value: float | None) -> None:
    (axis,) = plot_estimates({"kl": [*ROWS, Measured("c", Estimate(value))], "none": []}).axes
    assert len(axis.get_yticks()) == 2


def test_a_logarithmic_axis_leaves_out_what_is_not_above_zero() -> None:
    rows = [*ROWS, Measured("zero", Estimate(0.0, 0.0, 0.0)), Measured("to zero", Estimate(0.1, -0.1, 0.3))]
    (axis,) = plot_estimates({"kl": rows}, logarithmic=["kl"]).axes
    assert axis.get_xscale() == "log"
    assert len(axis.get_yticks()) == 3


def test_nothing_at_all_is_said() -> None:
    figure = plot_estimates({"kl": []})
    assert "nothing" in figure.texts[0].get_text()


def test_the_users_style_stays_as_it_was() -> None:
    before = dict(mpl.rcParams)
    plot_estimates({"churn": ROWS})
    assert dict(mpl.rcParams) == before
