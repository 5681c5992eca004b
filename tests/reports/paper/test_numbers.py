"""How a table writes means and intervals, and how wide it takes them to be."""

from __future__ import annotations

import pytest

from anchorlab.metrics import METRICS
from anchorlab.reports.paper.numbers import split_evenly, text_width, wrapped, written_column
from anchorlab.statistics.estimate import Estimate

KL, ACCURACY = METRICS["kl"], METRICS["accuracy"]


def tex(*estimates: Estimate | None, metric=KL, best=()):
    bold = [index in best for index in range(len(estimates))]
    return [cell.tex for cell in written_column(estimates, metric, bold)]


def test_a_symmetric_interval_has_one_half_width() -> None:
    assert tex(Estimate(0.0589, 0.0523, 0.0655)) == [r"$0.0589 \pm 0.0066$"]


def test_an_asymmetric_interval_has_both_distances() -> None:
    assert tex(Estimate(0.058, 0.051, 0.072)) == ["$0.058^{+0.014}_{-0.007}$"]


def test_one_asymmetric_cell_decides_for_its_column() -> None:
    both = tex(Estimate(0.0589, 0.0523, 0.0655), Estimate(0.058, 0.051, 0.072))
    assert both[0] == "$0.0589^{+0.0066}_{-0.0066}$"


def test_an_interval_that_leaves_the_value_out_is_written_by_its_ends() -> None:
    assert tex(Estimate(0.23, 0.05, 0.22), metric=ACCURACY) == [r"$0.23$ {\scriptsize $[0.05, 0.22]$}"]


def test_rates_of_a_column_have_the_same_decimals() -> None:
    cells = tex(Estimate(0.98, 0.97, 0.99), Estimate(1.0, 0.995, 1.0), metric=ACCURACY)
    assert cells == ["$0.980^{+0.010}_{-0.010}$", "$1.000^{+0.000}_{-0.005}$"]


def test_only_the_value_is_bold() -> None:
    assert tex(Estimate(0.0589, 0.0523, 0.0655), best=[0]) == [r"$\mathbf{0.0589} \pm 0.0066$"]


@pytest.mark.parametrize("missing", [None, Estimate(None), Estimate(float("nan"))])
def test_what_is_undefined_is_a_dash(missing: Estimate | None) -> None:
    assert tex(missing) == ["--"]


def test_a_value_without_an_interval_stands_alone() -> None:
    assert tex(Estimate(12.345)) == ["$12.3$"]
    assert tex(Estimate(0.0, 0.0, 0.0)) == ["$0$"]


def test_tiny_values_take_a_power_of_ten() -> None:
    assert tex(Estimate(1.23e-7, 1.1e-7, 1.36e-7)) == [r"$(1.23 \pm 0.13)$$\,{\cdot}10^{-7}$"]
    assert tex(Estimate(1.234e-7)) == [r"$1.23$$\,{\cdot}10^{-7}$"]


def test_columns_are_split_into_as_few_parts_as_fit() -> None:
    assert split_evenly([10, 10, 10], 100) == [range(3)]
    assert split_evenly([60, 30, 30, 30], 100) == [range(2), range(2, 4)]
    assert split_evenly([200, 10], 100) == [range(1), range(1, 2)]


def test_headings_are_wrapped_at_words() -> None:
    assert wrapped("logit distance (squared logits)", 45) == ["logit", "distance", "(squared", "logits)"]
    assert wrapped("KL (nats)", 60) == ["KL (nats)"]


def test_longer_words_are_wider() -> None:
    assert text_width("anchoring") > text_width("anchor") > text_width("") >= 0
