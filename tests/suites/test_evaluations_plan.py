"""Repairs and detections in a plan: how many, when they open, what they wait for. Nothing is run here."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from anchorlab.suites.cells import Cell, DetectionCell, InjectionCell, RepairCell
from anchorlab.suites.plan import make_plan
from anchorlab.suites.planned import Plan
from anchorlab.suites.spec import Suite
from tests.suites.inline import tiny
from tests.suites.test_plan import Imagined, reached, stages
from tests.suites.toys import evaluated_suite, toys

__all__ = ["toys"]  # the fixture

pytestmark = pytest.mark.usefixtures("toys")


def test_repairs_and_detectors_leave_all_other_cells_as_they_are() -> None:
    def others(suite: Suite) -> set[str]:
        jobs = make_plan(suite, Imagined(reached)).jobs()
        return {job.identity for stage, job in jobs if stage not in ("defended", "detected")}

    more = {"repairs": {"shrink": {"repair": "shrink"}}, "detectors": {"bias": {"detector": "bias"}}}
    assert others(tiny()) == others(tiny(**more))


class Made(Imagined):
    """A store in which also all that is reported is done, with its model unless it is lost."""

    def __init__(self, done: bool = True, lost: bool = False, broken: Any = lambda _: False) -> None:
        super().__init__(reached, broken)
        self.reported = done
        self.lost = lost

    def result(self, cell: Cell) -> list[dict[str, Any]] | None:
        if isinstance(cell, InjectionCell) and cell.split == "test" and not self.broken(cell):
            return [{}] if self.reported else None
        return super().result(cell)

    def models(self) -> dict[str, Path]:
        class Anything(dict[str, Path]):
            def __contains__(self, _: object) -> bool:
                return True

        return {} if self.lost or not self.reported else Anything()


def kinds(plan: Plan) -> Counter[tuple[str, str]]:
    """Role of the model and kind of the cell, of all planned cells, each once."""
    cells = {entry.cell.identity: entry for entry in plan.evaluations.entries}.values()
    kind = {"shrunk": "repair", "bias": "model", "sure": "input"}
    return Counter((entry.subject.role, kind[entry.cell.label]) for entry in cells)


def test_models_are_repaired_and_judged_each_by_its_kind() -> None:
    plan = make_plan(evaluated_suite(references=[0, 1], seeds=[0, 1, 2], defender=[20, "all"]), Made())
    # 2 references x 3 seeds x 2 numbers of examples each; 'plain (stopped)' is not looked at.
    assert kinds(plan) == {
        ("method", "repair"): 12,
        ("method", "model"): 12,
        ("method", "input"): 12,
        ("control", "repair"): 12,
        ("control", "model"): 12,
        ("reference", "repair"): 12,
        ("reference", "model"): 12,
    }
    assert {entry.defender for entry in plan.evaluations.entries} == {"20", "all"}
    assert stages(plan)["defended"] == 36
    assert stages(plan)["detected"] == 48
    assert (plan.evaluations.waiting, plan.evaluations.expected, plan.evaluations.lacking) == (0, 0, set())


def test_what_is_not_made_yet_is_waited_for() -> None:
    plan = make_plan(evaluated_suite(), Made(done=False))
    # The reference alone is there: its repair and its score.
    assert stages(plan)["defended"] == 1
    assert stages(plan)["detected"] == 1
    # Of the run: a repair and two detectors; of the benign update: a repair and one detector.
    assert plan.evaluations.waiting == 5
    assert len(plan.evaluations.needed) == 2
    before = make_plan(evaluated_suite(), Imagined(None))
    assert (before.evaluations.waiting, before.evaluations.expected) == (0, 3 * before.undecided)


def test_the_models_of_finished_runs_are_made_again_where_they_are_not_there() -> None:
    plan = make_plan(evaluated_suite(), Made(lost=True))
    assert len(plan.evaluations.lacking) == 2
    store = Made(lost=True)
    unfinished = [job for stage, job in plan.jobs() if stage == "reported" and not plan.finished(job, store)]
    assert sorted(job.label for job in unfinished if isinstance(job, InjectionCell)) == ["benign", "plain"]


def test_a_finished_suite_that_is_to_keep_its_models_makes_those_that_are_not_there() -> None:
    suite = tiny(keep_models=True, references=[0], seeds=[0], anchors=["all"], methods={"plain": {"method": "plain"}})
    for lost, expected in ((True, ["benign", "plain", "plain (stopped)"]), (False, [])):
        store = Made(lost=lost)
        plan = make_plan(suite, store)
        again = [
            job.label for _, job in plan.jobs() if isinstance(job, InjectionCell) and not plan.finished(job, store)
        ]
        assert sorted(again) == expected


def test_what_depends_on_a_run_that_failed_is_not_waited_for() -> None:
    plan = make_plan(evaluated_suite(), Made(broken=lambda job: getattr(job, "label", "") == "benign"))
    assert plan.evaluations.waiting == 0
    assert stages(plan)["defended"] == 2


def test_triggers_share_what_detectors_say_of_a_reference_and_targets_what_they_say_of_a_run() -> None:
    suite = evaluated_suite(triggers=["five-pixel", "square"], target_asr=[0.05, 0.5])
    plan = make_plan(suite, Made())
    scores = [
        entry for entry in plan.evaluations.entries if entry.cell.label == "bias" and entry.subject.source is None
    ]
    assert len(scores) == 2
    assert len({entry.cell.identity for entry in scores}) == 1
    repairs = [entry for entry in plan.evaluations.entries if entry.cell.label == "shrunk"]
    of_references = {entry.cell.identity for entry in repairs if entry.subject.role == "reference"}
    assert len(of_references) == 2
    of_runs = [entry for entry in repairs if entry.subject.role == "method"]
    assert len(of_runs) == 4
    assert len({entry.cell.identity for entry in of_runs}) == 2


def test_repairs_come_before_detections_and_model_by_model() -> None:
    jobs = list(make_plan(evaluated_suite(seeds=[0, 1], defender=[20, "all"]), Made()).jobs())
    order = ["reference", "selection", "reported", "defended", "detected"]
    places = [order.index(stage) for stage, _ in jobs]
    assert places == sorted(places)
    for kind in (RepairCell, DetectionCell):
        models = [job.model for _, job in jobs if isinstance(job, kind)]
        changes = sum(a != b for a, b in itertools.pairwise(models))
        assert changes == 5  # a reference, a run and a benign update under each seed
