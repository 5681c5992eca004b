"""How much of a suite is still to come."""

from __future__ import annotations

from typing import Any

import pytest

from anchorlab.cli.suite_answer import Counts, _count_words
from anchorlab.suites.frames import count_pending
from anchorlab.suites.plan import make_plan
from anchorlab.suites.runner import Progress
from tests.reports.conftest import make_suite
from tests.suites.inline import tiny
from tests.suites.test_evaluations_plan import Made
from tests.suites.test_plan import Imagined, reached
from tests.suites.toys import evaluated_suite, toys

__all__ = ["toys"]  # the fixture


def plain(cell: Any) -> bool:
    """Whether a cell is a reported run of plain tuning."""
    return getattr(cell, "label", "") == "plain" and getattr(cell, "split", "") == "test"


def test_failed_runs_are_not_pending() -> None:
    whole, broken = Imagined(reached), Imagined(reached, plain)
    plan = make_plan(tiny(), whole)
    failed = sum(plain(entry.cell) for entry in plan.reported)
    assert failed > 0
    assert count_pending(make_plan(tiny(), broken), broken) == count_pending(plan, whole) - failed


@pytest.mark.usefixtures("toys")
def test_neither_is_what_waits_for_a_model_whose_run_failed() -> None:
    suite = evaluated_suite()
    whole, broken = Made(), Made(broken=plain)
    plan = make_plan(suite, whole)
    of_failed = {
        entry.cell.identity
        for entry in plan.evaluations.entries
        if entry.subject.source is not None and plain(entry.subject.source)
    }
    assert of_failed
    assert count_pending(make_plan(suite, broken), broken) == count_pending(plan, whole) - len(of_failed)


def test_runs_that_failed_before_were_not_done_before() -> None:
    counts = Counts()
    counts.note(Progress(total=3, done=2, failed=1))
    words = _count_words(make_suite(sizes=("all",), seeds=(0,)), counts)  # type: ignore[no-untyped-call]  # it is of older tests
    assert words.startswith("0 of 3 jobs were run now (3 were settled already, 1 of them failed), ")
