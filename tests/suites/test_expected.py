"""The jobs that a plan does not hold yet are counted from the beginning, so that a bar's total does not jump."""

from __future__ import annotations

from collections import Counter

import pytest

from anchorlab.suites.expected import expected_jobs, kind_of
from anchorlab.suites.pace import Kind
from anchorlab.suites.plan import make_plan
from anchorlab.suites.spec import Suite
from tests.suites.inline import tiny
from tests.suites.test_evaluations_plan import Made
from tests.suites.test_plan import Imagined, reached
from tests.suites.toys import evaluated_suite, toys

__all__ = ["toys"]  # the fixture

pytestmark = pytest.mark.usefixtures("toys")


def kinds(suite: Suite, store: Imagined) -> Counter[Kind]:
    """All jobs by kind: those of the plan, and the expected ones."""
    plan = make_plan(suite, store)
    tasks = {job.name: task.name for task, job in plan.references}
    return Counter(kind_of(job, tasks) for _, job in plan.jobs()) + expected_jobs(suite, store, plan)


def every(cell: object, _scale: float) -> tuple[float, float]:
    """Each strength reaches the target, and the best lies within the grid."""
    strength = getattr(cell, "strength", None)
    return 1.0, 1.0 if strength is None else abs(strength - 4) + 0.1


@pytest.mark.parametrize("controls", [True, False])
def test_before_anything_is_run_as_many_are_expected_as_there_are_at_the_end(controls: bool) -> None:
    suite = tiny(
        controls=controls,
        methods={"plain": {"method": "plain"}, "anchoring": {"method": "anchoring", "grid": [1, 4, 16]}},
    )
    at_the_end = kinds(suite, Imagined(every))
    assert kinds(suite, Imagined(None)) == at_the_end
    assert expected_jobs(suite, Imagined(every), make_plan(suite, Imagined(every))).total() == 0


def test_runs_whose_strength_is_not_chosen_are_expected() -> None:
    class Unfinished(Imagined):
        def result(self, cell: object) -> None:
            return None

    suite = tiny()
    store = Unfinished(reached)
    expected = expected_jobs(suite, store, make_plan(suite, store))
    # 2 numbers of anchors x 2 references x 2 seeds, each.
    assert expected == {Kind("injection", "digits", "plain"): 8, Kind("injection", "digits", "anchoring"): 8}


def test_repairs_and_detections_are_expected_before_their_models_are_there() -> None:
    suite = evaluated_suite()
    at_the_end = kinds(suite, Made())
    assert kinds(suite, Imagined(None)) == at_the_end
    assert kinds(suite, Made(done=False)) == at_the_end


def test_what_depends_on_what_failed_is_not_expected() -> None:
    suite = tiny()
    store = Imagined(None)
    store.failed = lambda job: True  # type: ignore[method-assign]
    assert expected_jobs(suite, store, make_plan(suite, store)).total() == 0
