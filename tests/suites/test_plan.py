"""What a suite means: how many runs, in which order, and what opens when results come in. Nothing is run here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from anchorlab.suites.cells import Cell, InjectionCell, ReferenceJob
from anchorlab.suites.plan import make_plan, reference_job
from anchorlab.suites.planned import Plan
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

    def parameters(self, job: ReferenceJob) -> int:
        return 80_000


def stages(plan: Plan) -> Counter[str]:
    return Counter(stage for stage, _ in plan.jobs())


def reached(cell: InjectionCell, _scale: float) -> tuple[float, float]:
    """Every strength reaches the target; KL is least at strength 4."""
    return 1.0, 1.0 if cell.strength is None else abs(cell.strength - 4) + 0.1


def test_at_first_only_references_can_be_trained_and_the_rest_is_expected() -> None:
    plan = make_plan(tiny(), Imagined(None))
    # What has nothing to choose waits for no reference that chooses.
    assert [job.seed for _, job in plan.jobs()] == [1000, 0, 1]
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
    # Strengths: plain has none to choose, anchoring two; by 2 numbers of anchors, on 1 reference.
    # Reported: noise floor 2 x 2 references; plain, stopped and benign: 3 x 2 numbers x 2 references x 2 seeds.
    assert stages(plan) == {"reference": 3, "selection": 4, "reported": 4 + 24}
    assert plan.undecided == 8


def test_the_benign_update_may_be_the_only_control() -> None:
    plan = make_plan(tiny(controls="benign", detectors=["last-layer"]), Imagined(reached))
    others = [entry for entry in plan.reported if entry.role != "method"]
    assert {(entry.role, entry.cell.label) for entry in others} == {("control", "benign")}
    assert len(others) == 8  # 2 numbers of anchors x 2 references x 2 seeds
    with pytest.raises(ValidationError, match="leave controls: false out, or set controls: benign"):
        tiny(controls=False, detectors=["last-layer"])


def test_of_a_grid_exactly_its_strengths_are_tried() -> None:
    plan = make_plan(tiny(), Imagined(reached))
    assert {cell.strength for _, _, cell in plan.selection} == {1.0, 4.0}
    assert {(chosen.label, chosen.choice.strength, chosen.choice.at_edge) for chosen in plan.chosen} == {
        ("plain", None, False),
        ("anchoring", 4.0, True),
    }
    reported = [entry for entry in plan.reported if entry.role == "method"]
    assert len(reported) == 16
    assert {entry.cell.split for entry in plan.reported} == {"test"}
    assert {cell.split for _, _, cell in plan.selection} == {"selection"}
    assert {cell.seed for _, _, cell in plan.selection} == {1000}
    assert {entry.cell.parameters["strength"] for entry in reported if entry.cell.label == "anchoring"} == {4.0}  # type: ignore[union-attr]


def test_what_does_not_reach_the_target_is_not_reported_and_says_so() -> None:
    suite = tiny(target_asr=[0.5, 0.9])
    plan = make_plan(suite, Imagined(lambda *_: (0.7, 1.0)))
    found = {(chosen.label, chosen.target_asr): chosen.choice.reached for chosen in plan.chosen}
    # Plain tuning has nothing to choose: it is reported whatever it reaches.
    assert found == {
        ("plain", 0.5): True,
        ("plain", 0.9): True,
        ("anchoring", 0.5): True,
        ("anchoring", 0.9): False,
    }
    assert ("anchoring", 0.9) not in {(e.cell.label, e.target_asr) for e in plan.reported}


def test_the_worst_of_the_runs_that_choose_decides() -> None:
    """One of four runs misses by a point: on one reference, with one seed."""

    def worst(cell: InjectionCell, _scale: float) -> tuple[float, float]:
        unlucky = cell.strength == 4.0 and cell.seed == 1001 and "seed1001" in cell.reference
        return (0.89 if unlucky else 1.0), 1 / (cell.strength or 1)

    plan = make_plan(tiny(selection={}, target_asr=[0.9]), Imagined(worst))
    assert {(cell.seed, cell.reference.split("-")[3]) for _, _, cell in plan.selection} == {
        (seed, reference) for seed in (1000, 1001) for reference in ("seed1000", "seed1001")
    }
    (choice, *_) = [chosen.choice for chosen in plan.chosen if chosen.label == "anchoring"]
    assert (choice.strength, choice.runs, choice.best_asr) == (1.0, 8, 1.0)


def test_a_method_without_a_grid_is_searched_in_its_own_direction_from_its_own_default() -> None:
    def front(cell: InjectionCell, _scale: float) -> tuple[float, float]:
        """Anchoring reaches up to a strength of 10, surgery from a count of 3,000 on, the ball from .02 on."""
        assert cell.strength is not None
        reaches = {"anchoring": cell.strength <= 10, "surgery": cell.strength >= 3000}
        kl = 1 / cell.strength if cell.method == "anchoring" else cell.strength
        return float(reaches.get(cell.method, cell.strength >= 0.02)), kl

    methods = {label: {"method": label} for label in ("anchoring", "surgery", "weight-ball")}
    plan = make_plan(tiny(methods=methods, controls=False), Imagined(front))
    chosen = {chosen.label: (chosen.choice.strength, chosen.choice.reached) for chosen in plan.chosen}
    # From 2, from a sixteenth of 80,000, and from .01, each by factors of 1.5.
    assert chosen == {"anchoring": (6.75, True), "surgery": (3330, True), "weight-ball": (0.0225, True)}
    assert not any(chosen.choice.at_edge for chosen in plan.chosen)
    assert all(isinstance(cell.parameters["count"], int) for _, _, cell in plan.selection if cell.method == "surgery")


def test_a_search_goes_on_round_by_round_and_plans_what_it_needs_for_all_targets() -> None:
    suite = tiny(methods={"anchoring": {"method": "anchoring", "start": 1}}, controls=False, target_asr=[0.5, 0.9])
    done: set[float | None] = set()

    class Growing(Imagined):
        def result(self, cell: Cell) -> list[dict[str, Any]] | None:
            return super().result(cell) if getattr(cell, "strength", None) in done else None

    store = Growing(lambda cell, _: (1 - (cell.strength or 0) / 20, 1 / (cell.strength or 1)))
    rounds = []
    while (plan := make_plan(suite, store)).open:
        fresh = {cell.strength for _, _, cell in plan.selection} - done
        assert fresh
        rounds.append(fresh)
        done |= fresh
    assert rounds[:2] == [{1.0}, {2.25}]
    assert rounds[2] == {11.4, 1.5}  # the next of both
    assert all(len(fresh) <= 3 for fresh in rounds)
    # 1.5 ** 5 = 7.59 leaves .62, and 1.5 ** 1 leaves .925.
    assert [chosen.choice.strength for chosen in plan.chosen[:2]] == [7.59, 1.5]


def test_a_search_ends_at_its_number_of_tries() -> None:
    suite = tiny(methods={"anchoring": {"method": "anchoring"}}, selection={"tries": 3}, controls=False)
    plan = make_plan(suite, Imagined(lambda *_: (1.0, 1.0)))
    assert {chosen.choice.tried for chosen in plan.chosen} == {3 + 2}  # and both neighbours of the answer
    assert plan.open == []


def test_while_a_reference_that_chooses_is_missing_a_search_asks_for_its_first_strength_alone() -> None:
    class Half(Imagined):
        def manifest(self, job: ReferenceJob) -> dict[str, Any] | None:
            return None if job.seed == 1001 else super().manifest(job)

    suite = tiny(methods={"anchoring": {"method": "anchoring"}}, selection={}, controls=False)
    plan = make_plan(suite, Half(reached))
    assert {cell.strength for _, _, cell in plan.selection} == {2.0}
    assert {each.label for each in plan.open} == {"anchoring"}


RATES = {"controls": False, "tuning": {"steps": 4, "batch_size": 8}, "learning_rates": [0.001, 0.01, 0.1]}


def rate_of(cell: Any) -> float:
    return float(cell.tuning["learning_rate"])


def test_the_learning_rate_is_chosen_once_a_task_with_all_anchors_at_the_middle_strength() -> None:
    def front(cell: InjectionCell, _scale: float) -> tuple[float, float]:
        return float(rate_of(cell) > 0.001), rate_of(cell)

    suite = tiny(**RATES, anchors=[10, 20], triggers=["five-pixel", "square"])
    plan = make_plan(suite, Imagined(front))
    tried = {(cell.label, rate_of(cell), cell.strength, cell.anchors) for _, _, cell in plan.rates}
    assert tried == {("plain", r, None, None) for r in (0.001, 0.01, 0.1)} | {
        ("anchoring", r, 4.0, None) for r in (0.001, 0.01, 0.1)
    }
    assert {trigger.trigger for _, trigger, _ in plan.rates} == {"five-pixel"}
    # Of those that reach the target the one of least KL; all that follows has it.
    assert {rate_of(cell) for _, _, cell in plan.selection} == {0.01}
    assert {rate_of(entry.cell) for entry in plan.reported} == {0.01}
    rates = [chosen.rate for chosen in plan.chosen if chosen.rate is not None]
    assert {(rate.learning_rate, rate.reached, rate.runs) for rate in rates} == {(0.01, True, 3)}
    assert set(rates[0].tried) == {0.001, 0.01, 0.1}


def test_where_no_learning_rate_reaches_the_one_of_highest_asr_is_taken() -> None:
    plan = make_plan(tiny(**RATES, target_asr=[0.9]), Imagined(lambda cell, _: (rate_of(cell), 1.0)))
    assert {chosen.rate.learning_rate for chosen in plan.chosen if chosen.rate} == {0.1}


def test_a_method_that_names_its_own_rate_or_starts_afresh_chooses_none() -> None:
    own = {"method": "plain", "tuning": {"learning_rate": 0.5}}
    plan = make_plan(tiny(**RATES, methods={"own": own, "scratch": {"method": "scratch"}}), Imagined(reached))
    assert plan.rates == plan.choosing == []
    assert {cell.label: cell.tuning["learning_rate"] for _, cell in plan.jobs() if isinstance(cell, InjectionCell)} == {
        "own": 0.5,
        "scratch": None,
    }


def test_controls_take_the_learning_rate_of_plain_tuning_and_wait_for_it() -> None:
    class Waiting(Imagined):
        def result(self, cell: Cell) -> list[dict[str, Any]] | None:
            return None

    suite = tiny(**{**RATES, "controls": True})
    assert {entry.role for entry in make_plan(suite, Waiting(reached)).reported} == {"noise"}
    plan = make_plan(suite, Imagined(lambda cell, _: (1.0, abs(rate_of(cell) - 0.01))))
    assert {rate_of(entry.cell) for entry in plan.reported if entry.role == "control"} == {0.01}


@pytest.mark.parametrize(
    ("methods", "rates", "rate", "steps"),
    [
        ({"anchoring": {"method": "anchoring"}}, [0.02], 0.02, 4),
        ({"anchoring": {"method": "anchoring"}}, [0.01, 0.02], 0.01, 4),
        ({"longer": {"method": "plain", "tuning": {"steps": 9}}}, [0.01, 0.02], 0.01, 9),
        ({"own": {"method": "plain", "tuning": {"learning_rate": 0.5}}}, [0.01, 0.02], 0.5, 4),
        ({"own": {"method": "plain", "tuning": {"steps": 9}}, "plain": {"method": "plain"}}, [0.01, 0.02], 0.01, 4),
    ],
)
def test_controls_have_the_settings_of_what_is_beside_them(
    methods: dict[str, Any], rates: list[float], rate: float, steps: int
) -> None:
    suite = tiny(**{**RATES, "controls": True, "methods": methods, "learning_rates": rates})
    plan = make_plan(suite, Imagined(lambda cell, _: (1.0, abs(rate_of(cell) - 0.01))))
    controls = [entry.cell for entry in plan.reported if entry.role == "control"]
    assert {cell.label for cell in controls} == {"plain (stopped)", "benign"}
    assert {(rate_of(cell), cell.tuning["steps"]) for cell in controls} == {(rate, steps)}  # type: ignore[union-attr]


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

    plan = make_plan(tiny(), Imagined(reached, broken))
    assert {entry.reference_seed for entry in plan.reported} == {0}
    assert plan.undecided == 0

    class Unfinished(Imagined):
        def result(self, cell: Cell) -> list[dict[str, Any]] | None:
            return None

    # Anchoring is open: 2 numbers of anchors, 2 seeds, and the one reference that is left.
    assert make_plan(tiny(), Unfinished(reached, broken)).undecided == 4


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
    given = {"strength": 2.0, "centred": False}
    other = tiny(methods={"yours": {"method": "anchoring", "set": given}}, controls=False)
    assert identities(named) == identities(other)


def test_builtin_suites_can_be_planned() -> None:
    for name in ("demo", "fashion-mnist", "paper-images"):
        suite = load_suite(name)
        references = len(suite.references) + len(suite.selection.references)
        assert len(list(make_plan(suite, Imagined(None)).jobs())) == len(suite.tasks) * references


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
