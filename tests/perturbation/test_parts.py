"""Budgets, and parts that are measured once."""

from __future__ import annotations

import math
import time

import pandas as pd
import pytest

from anchorlab import AnchorlabError
from anchorlab.perturbation.budget import Budget, BudgetSpent
from anchorlab.perturbation.parts import Part, measure


@pytest.mark.parametrize(("text", "seconds", "products"), [("120s", 120, None), ("0.5s", 0.5, None), ("40p", None, 40)])
def test_budgets_are_read(text, seconds, products):
    found = Budget.parse(text)
    assert (found.seconds, found.products) == (seconds, products)


@pytest.mark.parametrize("text", ["", "12", "0s", "0p", "-3s", "1.5p", "12 s p", "infs", "1e400s", f"{'9' * 400}s"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(AnchorlabError, match=r"the budget '.*' is not possible: give seconds, as in 120s, or"):
        Budget.parse(text)


def test_products_are_counted_and_time_passes():
    budget = Budget(products=2)
    budget.spend()
    budget.spend()
    with pytest.raises(BudgetSpent):
        budget.spend()
    budget.check()
    with pytest.raises(BudgetSpent):
        Budget(seconds=1e-9).check()


def part(name: str, calls: list[str], inputs=(1,), steps=1, seconds=0.0) -> Part:
    def run(tick):
        for _ in range(steps):
            time.sleep(seconds)
            tick()
        calls.append(name)
        return {"t": pd.DataFrame({"name": [name], "value": [0.1 + 0.2], "none": [math.nan], "far": [math.inf]})}

    return Part(name, inputs, steps, run)


def test_what_is_remembered_is_not_measured_again_and_is_the_same_to_the_bit(tmp_path):
    calls: list[str] = []
    first, _ = measure([part("a", calls), part("b", calls)], Budget(), tmp_path, "x")
    again, _ = measure([part("a", calls), part("b", calls), part("c", calls)], Budget(), tmp_path, "x")
    assert calls == ["a", "b", "c"]
    pd.testing.assert_frame_equal(again["t"].iloc[:2], first["t"], check_exact=True)
    measure([part("a", calls, inputs=(2,))], Budget(), tmp_path, "x")
    assert calls[3:] == ["a"]


def test_an_interruption_keeps_what_was_finished(tmp_path):
    calls: list[str] = []

    def interrupted(_tick):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure([part("a", calls), Part("b", (1,), 1, interrupted)], Budget(), tmp_path, "x")
    measure([part("a", calls), part("b", calls)], Budget(), tmp_path, "x")
    assert calls == ["a", "b"]


def test_the_budget_ends_a_part_under_way_and_names_what_is_left_out():
    calls: list[str] = []
    parts = [part("quick", calls), part("slow", calls, steps=1000, seconds=0.01), part("last", calls)]
    tables, left_out = measure(parts, Budget(seconds=0.2), None, "x")
    assert calls == ["quick"]
    assert left_out == ["slow", "last"]
    assert tables["t"]["name"].tolist() == ["quick"]


def test_a_budget_that_suffices_for_nothing_is_an_error():
    with pytest.raises(AnchorlabError, match=r"the budget of 1e-09 seconds was spent before anything was measured"):
        measure([part("a", [])], Budget(seconds=1e-9), None, "x")
