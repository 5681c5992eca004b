"""The jobs that a plan does not hold yet are counted from the beginning, so that a bar's total does not jump."""

from __future__ import annotations

from collections import Counter

import pytest

from anchorlab.suites.cells import Cell
from anchorlab.suites.expected import expected_jobs, kind_of, runs_to_choose
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
    tasks = {job.name: task.name for task, job in plan.trained}
    return Counter(kind_of(job, tasks) for _, job in plan.jobs()) + expected_jobs(suite, store, plan)


def every(cell: object, _scale: float) -> tuple[float, float]:
    """Each strength reaches the target, and the best lies within the grid."""
    strength = getattr(cell, "strength", None)
    return 1.0, 1.0 if strength is None else abs(strength - 4) + 0.1


@pytest.mark.parametrize("controls", [True, False, "benign"])
def test_before_anything_is_run_as_many_are_expected_as_there_are_at_the_end(controls: bool | str) -> None:
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
    # 2 numbers of anchors x 2 references x 2 seeds; plain tuning has nothing to choose and is planned.
    assert expected == {Kind("injection", "digits", "anchoring"): 8}


def test_a_search_is_expected_to_try_seven_strengths() -> None:
    suite = tiny(methods={"anchoring": {"method": "anchoring"}}, anchors=["all"], controls=False)
    anchoring = Kind("injection", "digits", "anchoring")
    # On 1 reference with 1 seed; then 2 references x 2 seeds.
    assert expected_jobs(suite, Imagined(None), make_plan(suite, Imagined(None)))[anchoring] == 7 + 4

    class First(Imagined):
        def result(self, cell: Cell) -> list[dict[str, object]] | None:
            return None

    store = First(reached)
    assert expected_jobs(suite, store, make_plan(suite, store))[anchoring] == 6 + 4


def test_the_runs_that_choose_are_bounded_by_the_tries_of_each_search() -> None:
    suite = tiny(methods={"anchoring": {"method": "anchoring"}, "plain": {"method": "plain"}}, target_asr=[0.5, 0.9])
    plan = make_plan(suite, Imagined(None))
    # 2 numbers of anchors x 2 targets x (12 strengths and the neighbours of the best).
    assert suite.most_runs_that_choose == runs_to_choose(suite, plan) == 56
    found = make_plan(suite, Imagined(reached))
    assert runs_to_choose(suite, found) == 0


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
