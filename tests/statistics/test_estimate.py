"""An estimate has one text form."""

from __future__ import annotations

from anchorlab.statistics.estimate import Estimate


def test_a_value_is_followed_by_its_interval() -> None:
    estimate = Estimate(0.912, 0.8934, 0.92764, units=7)
    assert f"{estimate:.4f}" == "0.9120 [0.8934, 0.9276]"
    assert estimate.text("{:.1%}".format) == "91.2% [89.3%, 92.8%]"
    assert estimate.text("{:#.4g}".format, "{:.2f}".format) == "0.9120 [0.89, 0.93]"
    assert estimate.bounds == (0.8934, 0.92764)


def test_what_is_undefined_is_left_out_or_named() -> None:
    assert f"{Estimate(0.5):.2f}" == "0.50"
    assert f"{Estimate(None):.2f}" == "undefined"
    assert (Estimate(0.5).interval(str), Estimate(0.5, 0.4).bounds) == ("", None)


def test_the_number_of_units_does_not_make_an_estimate_another_one() -> None:
    assert Estimate(0.5, 0.4, 0.6, units=3) == Estimate(0.5, 0.4, 0.6)


def test_without_an_interval_two_units_show_their_values_and_one_is_not_said_twice() -> None:
    assert Estimate(0.5, units=2, each=(0.4, 0.6)).text(str) == "0.5 (0.4; 0.6)"
    assert Estimate(0.5, units=1, each=(0.5,)).text(str) == "0.5"
