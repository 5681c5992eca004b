"""What a suite means: how many runs, in which order, and what opens when results come in. Nothing is run here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anchorlab.suites.cells import Cell, InjectionCell, ReferenceJob
from anchorlab.suites.plan import Plan, make_plan, reference_job
from anchorlab.suites.reading import load_suite
from anchorlab.suites.spec import Suite, TaskSpec
from anchorlab.suites.store import Store
from tests.suites.inline import tiny

Answer = Callable[[InjectionCell, float], tuple[float, float]]


class Imagined(Store):
    """A store in which every reference is trained and every selection run ends as a function says."""

    def __init__(self, answer: Answer | None, broken: Callable[[Any], bool] = lambda _: False) -> None:
        super().__init__(Path("nowhere"))
        self.answer = answer
        self.broken = broken

    def manifest(self, job: ReferenceJob) -> dict[str, Any] | None:
        return None if self.answer is None or self.broken(job) else {"weights_sha256": job.identity}

    def result(self, cell: Cell) -> list[dict[str, Any]] | None:
        if self.answer is None or self.broken(cell) or not isinstance(cell, InjectionCell) or cell.split == "test":
            return None
        answers = [(scale, *self.answer(cell, scale)) for scale in cell.scales]
        return [{"scale": scale, "asr": asr, "kl": kl} for scale, asr, kl in answers]

    def failed(self, job: Any) -> bool:
        return self.broken(job)


def stages(plan: Plan) -> Counter[str]:
    return Counter(stage for stage, _ in plan.jobs())


def reached(cell: InjectionCell, _scale: float) -> tuple[float, float]:
    """Every strength reaches the target; KL is least at strength 4."""
    return 1.0, 1.0 if cell.strength is None else abs(cell.strength - 4) + 0.1


def test_at_first_only_references_can_be_trained_and_the_rest_is_expected() -> None:
    plan = make_plan(tiny(), Imagined(None))
    assert stages(plan) == {"reference": 2}
    # 2 methods x 2 numbers of anchors x 2 references x 2 seeds x 1 target.
    assert plan.undecided == 16


def test_with_references_strengths_are_tried_and_controls_run() -> None:
    plan = make_plan(tiny(), Imagined(lambda cell, _: (1.0, 1.0), broken=lambda job: False))
    waiting = make_plan(tiny(), Imagined(reached))
    assert waiting.undecided == plan.undecided == 0

    class Unfinished(Imagined):
        def result(self, cell: Cell) -> list[dict[str, Any]] | None:
            return None

    plan = make_plan(tiny(), Unfinished(reached))
    # Strengths: plain has one, anchoring two; by 2 numbers of anchors, on 1 reference.
    # Reported: noise floor 2 x 2 references; stopped and benign: 2 x 2 numbers x 2 references x 2 seeds.
    assert stages(plan) == {"reference": 2, "selection": 6, "reported": 4 + 16}
    assert plan.undecided == 16


def test_a_grid_is_extended_where_the_best_lies_at_its_edge_and_then_chosen() -> None:
    plan = make_plan(tiny(), Imagined(reached))
    assert {cell.strength for _, _, cell in plan.selection} == {None, 1.0, 4.0, 16.0}
    assert {(chosen.label, chosen.choice.strength, chosen.choice.at_edge) for chosen in plan.chosen} == {
        ("plain", None, False),
        ("anchoring", 4.0, False),
    }
    reported = [entry for entry in plan.reported if entry.role == "method"]
    assert len(reported) == 16
    assert {entry.cell.split for entry in plan.reported} == {"test"}
    assert {cell.split for _, _, cell in plan.selection} == {"selection"}
    assert {cell.seed for _, _, cell in plan.selection} == {1000}
    assert {entry.cell.parameters["strength"] for entry in reported if entry.cell.label == "anchoring"} == {4.0}  # type: ignore[union-attr]


def test_what_does_not_reach_the_target_is_not_reported_and_says_so() -> None:
    suite = tiny(target_asr=[0.5, 0.9])
    plan = make_plan(suite, Imagined(lambda cell, _: (0.7 if cell.method == "plain" else 0.95, 1.0)))
    found = {(chosen.label, chosen.target_asr): chosen.choice.reached for chosen in plan.chosen}
    assert found == {
        ("plain", 0.5): True,
        ("plain", 0.9): False,
        ("anchoring", 0.5): True,
        ("anchoring", 0.9): True,
    }
    assert ("plain", 0.9) not in {(e.cell.label, e.target_asr) for e in plan.reported}


def test_two_targets_share_the_runs_of_one_choice() -> None:
    plan = make_plan(tiny(target_asr=[0.5, 0.9], controls=False), Imagined(reached))
    entries = [entry for entry in plan.reported if entry.role == "method"]
    assert len(entries) == 32
    assert len({entry.cell.identity for entry in entries}) == 16
    assert stages(plan)["reported"] == 16


def test_scales_are_tried_on_one_run_and_the_chosen_one_is_measured() -> None:
    suite = tiny(scales=[0.8, 1.0, 1.2], controls=False)
    plan = make_plan(suite, Imagined(lambda cell, scale: (scale / 1.2, scale)))
    assert all(cell.scales == (0.8, 1.0, 1.2) for _, _, cell in plan.selection)
    assert all(entry.cell.scales == (0.8,) for entry in plan.reported)  # type: ignore[union-attr]
    strict = make_plan(
        suite.model_copy(update={"target_asr": [0.9]}), Imagined(lambda cell, scale: (scale / 1.2, scale))
    )
    assert all(entry.cell.scales == (1.2,) for entry in strict.reported)  # type: ignore[union-attr]


def test_a_strength_that_fails_is_left_out_and_the_others_are_chosen_from() -> None:
    def broken(job: Any) -> bool:
        return isinstance(job, InjectionCell) and job.strength == 4.0

    plan = make_plan(tiny(), Imagined(reached, broken))
    chosen = {chosen.label: chosen.choice for chosen in plan.chosen}
    assert chosen["anchoring"].strength == 1.0
    assert chosen["plain"].reached


def test_a_method_of_which_every_strength_fails_is_not_reached() -> None:
    plan = make_plan(tiny(), Imagined(reached, lambda job: getattr(job, "method", "") == "anchoring"))
    chosen = {chosen.label: chosen.choice for chosen in plan.chosen}
    assert not chosen["anchoring"].reached
    assert chosen["anchoring"].tried == 0


def test_a_reference_that_fails_takes_only_its_own_runs_with_it() -> None:
    def broken(job: Any) -> bool:
        return isinstance(job, ReferenceJob) and job.seed == 1

    plan = make_plan(tiny(selection={"seeds": [1000]}), Imagined(reached, broken))
    assert {entry.reference_seed for entry in plan.reported} == {0}
    assert plan.undecided == 0


def test_reported_runs_come_seed_by_seed() -> None:
    plan = make_plan(tiny(), Imagined(reached))
    seeds = [job.seed for stage, job in plan.jobs() if stage == "reported" and isinstance(job, InjectionCell)]
    assert seeds == sorted(seeds)


@pytest.mark.parametrize(
    "change",
    [
        {"tuning": {"steps": 5, "batch_size": 8, "learning_rate": 0.01}},
        {"triggers": [{"trigger": "square"}]},
        {"triggers": [{"trigger": "five-pixel", "target": 1}]},
        {"anchors_from": "held-out"},
        {"methods": {"plain": {"method": "plain", "tuning": {"steps": 5}}}},
    ],
)
def test_the_identity_is_that_of_all_that_matters(change: dict[str, Any]) -> None:
    def identities(suite: Suite) -> set[str]:
        plan = make_plan(suite, Imagined(reached))
        return {e.cell.identity for e in plan.reported if e.role == "method" and e.cell.label == "plain"}

    assert identities(tiny()).isdisjoint(identities(tiny(**change)))


def test_the_identity_is_not_that_of_labels_and_defaults() -> None:
    def identities(suite: Suite) -> set[str]:
        return {entry.cell.identity for entry in make_plan(suite, Imagined(reached)).reported}

    named = tiny(methods={"mine": {"method": "anchoring", "set": {"strength": 2.0}}}, controls=False)
    other = tiny(methods={"yours": {"method": "anchoring", "set": {"centred": False}}}, controls=False)
    assert identities(named) == identities(other)


def test_builtin_suites_can_be_planned() -> None:
    for name in ("demo", "fashion-mnist", "paper-images"):
        suite = load_suite(name)
        assert len(list(make_plan(suite, Imagined(None)).jobs())) == len(suite.tasks) * len(suite.references)


def test_defaults_that_a_model_brings_along_are_part_of_the_identity() -> None:
    """So that a suite with a model that began with others runs again; the task's own defaults never were part of it."""
    jobs = {model: reference_job(TaskSpec(name="movie-snippets", model=model), 0) for model in ("minilm", "bert-tiny")}
    settings = {model: (job.training["epochs"], job.training["learning_rate"]) for model, job in jobs.items()}
    assert settings == {"minilm": (None, None), "bert-tiny": (15, 0.001)}


def reported(suite: Suite, store: Store) -> dict[str, InjectionCell]:
    """A reported run of each method and control."""
    return {e.cell.label: e.cell for e in make_plan(suite, store).reported if isinstance(e.cell, InjectionCell)}


def test_reported_runs_walk_towards_a_common_asr_where_a_scale_makes_sense() -> None:
    cells = reported(tiny(methods={"plain": None, "scratch": None}), Imagined(reached))
    assert {label: cell.walk and cell.walk.asr for label, cell in cells.items()} == {
        "plain": 0.99,
        "plain (stopped)": 0.99,
        "scratch": None,  # far from the reference
        "benign": None,  # no backdoor
    }
    assert all(1 in cell.walk.factors for cell in cells.values() if cell.walk)
    assert {cell.walk and cell.walk.asr for cell in reported(tiny(common_asr=0.8), Imagined(reached)).values()} == {
        0.8,
        None,
    }


def test_runs_that_an_earlier_version_finished_without_a_walk_are_kept() -> None:
    class Before(Imagined):
        def result(self, cell: Cell) -> list[dict[str, Any]] | None:
            known = isinstance(cell, InjectionCell) and cell.split == "test" and cell.walk is None and cell.seed == 0
            return [{}] if known else super().result(cell)

    plan = make_plan(tiny(), Before(reached))
    walks = {
        (e.cell.seed, e.cell.walk is None) for e in plan.reported if e.cell.kind == "injection" and e.role == "method"
    }
    assert walks == {(0, True), (1, False)}
