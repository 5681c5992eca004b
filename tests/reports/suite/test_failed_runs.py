"""A run whose backdoor failed is shown and counted, and no evidence of consistency."""

from __future__ import annotations

import pandas as pd
import pytest

from anchorlab.reports.suite.summary import Entry, summarise
from anchorlab.reports.suite.tables import results_table
from anchorlab.suites.success import works
from tests.reports.conftest import FakeResults
from tests.reports.suite.at_one_asr import failing, suite_with_scales


def entry(results: FakeResults, label: str) -> Entry:
    (condition,) = summarise(results)  # type: ignore[arg-type]
    (found,) = (one for one in condition.entries if one.label == label)
    return found


def test_a_backdoor_works_up_to_five_points_below_its_target_and_where_there_is_none() -> None:
    runs = pd.DataFrame({"asr": [0.9, 0.899, None, 0.01], "target_asr": [0.95, 0.95, 0.95, float("nan")]})
    assert works(runs).tolist() == [True, False, False, True]


def test_failed_runs_are_in_no_mean() -> None:
    results = suite_with_scales()
    whole, rest = entry(results, "surgery"), entry(failing(results, "surgery", (1,)), "surgery")
    assert (len(whole.failed), len(rest.failed)) == (0, 1)
    assert (len(whole.runs), len(rest.runs), len(rest.reported)) == (3, 2, 3)
    assert rest.estimate("kl").value != pytest.approx(whole.estimate("kl").value)
    assert set(rest.runs["reference_seed"]) == {0, 2}


def test_a_method_of_which_every_run_failed_says_so() -> None:
    results = failing(suite_with_scales(), "surgery", (0, 1, 2), asr=0.2)
    (condition,) = summarise(results)  # type: ignore[arg-type]
    (row,) = (row for _, row in results_table(condition).rows() if row.head == "surgery")
    assert row.sub == "the backdoor failed in all 3 runs (ASR at most 0.2000 on test)"
