"""What an analysis may cost."""

from __future__ import annotations

import pytest

from anchorlab import AnchorlabError
from anchorlab.perturbation.budget import Budget, BudgetSpent


@pytest.mark.parametrize(("text", "seconds", "products"), [("120s", 120, None), ("0.5s", 0.5, None), ("40p", None, 40)])
def test_budgets_are_read(text, seconds, products):
    budget = Budget.parse(text)
    assert (budget.seconds, budget.products) == (seconds, products)


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
