"""Repairs and detections in a plan: how many, when they open, what they wait for. Nothing is run here."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from anchorlab import AnchorlabError
from anchorlab.detectors import DETECTORS
from anchorlab.suites.cells import Cell, DetectionCell, InjectionCell, NoiseCell, ReferenceJob, RepairCell
from anchorlab.suites.plan import Plan, make_plan
from anchorlab.suites.reading import parse_suite
from anchorlab.suites.smoke import smoke_form
from anchorlab.suites.spec import Suite
from tests.registering import registered
from tests.suites.inline import tiny
from tests.suites.test_plan import Imagined, reached, stages
from tests.suites.toys import Sure, evaluated_suite, toys

__all__ = ["toys"]  # the fixture

pytestmark = pytest.mark.usefixtures("toys")

WHERE = {"reference": "r", "reference_sha256": "ab", "label": "l", "trigger": {"name": "five-pixel"}}
WHERE |= {"rule": "all-to-one", "target": 0, "split": "test"}


def test_identities_of_what_users_have_finished_stay_what_they_were() -> None:
    """Hashes noted before there were repairs and detectors."""
    injection = InjectionCell(
        **WHERE, method="plain", parameters={}, strength=None, anchors=None, anchors_from="owner", seed=0,
        tuning={"steps": 3}, scales=(1.0,),
    )  # fmt: skip
    noise = NoiseCell(**WHERE, batch_size=37, precision="no")
    reference = ReferenceJob(task="digits", model="resnet-tiny", seed=0, training={"epochs": 1})
    assert injection.identity == "cf9b117dd720c5c852d07c21a3f711683cd9d7bb9708aadd95995673fc7e97c2"
    assert noise.identity == "de7e2c396ef21f3334621a27dc6234840f3a1f898f7bd53eb6f3603c1c7aece4"
    assert reference.identity == "16df64f6ed10b74ca02e7d19591047bdd5aa6e692cffad24c90cf39aff653a43"


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


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"label": "other", "of": "another name", "reference": "elsewhere"}, True),
        ({"parameters": {"factor": 0.25}}, False),
        ({"defender": None}, False),
        ({"seed": 1}, False),
        ({"model": "cd"}, False),
        ({"defence": "refusing"}, False),
        ({"trigger": {"name": "square"}}, False),
    ],
)
def test_the_identity_of_a_repair_is_that_of_all_that_matters(change: dict[str, Any], same: bool) -> None:
    made: dict[str, Any] = {**WHERE, "of": "m", "model": None, "parameters": {"factor": 0.5}, "defender": 20, "seed": 0}
    cell, other = (RepairCell(**{**made, "defence": "shrink", **some}) for some in ({}, change))
    assert (cell.identity == other.identity) is same


def test_repairs_come_before_detections_and_model_by_model() -> None:
    jobs = list(make_plan(evaluated_suite(seeds=[0, 1], defender=[20, "all"]), Made()).jobs())
    order = ["reference", "selection", "reported", "defended", "detected"]
    places = [order.index(stage) for stage, _ in jobs]
    assert places == sorted(places)
    for kind in (RepairCell, DetectionCell):
        models = [job.model for _, job in jobs if isinstance(job, kind)]
        changes = sum(a != b for a, b in itertools.pairwise(models))
        assert changes == 5  # a reference, a run and a benign update under each seed


HEAD = "name: mine\ntitle: Mine\ntasks: [digits]\nmethods: {plain: }\n"

MISTAKES = {
    "an unknown repair": ("repairs:\n  fine-tunin:", 6, "unknown repair 'fine-tunin': did you mean 'fine-tuning'?"),
    "an unknown parameter": (
        "repairs:\n  ft: {repair: fine-tuning, set: {epoch: 3}}",
        6,
        "did you mean 'epochs'?",
    ),
    "an impossible value": ("repairs:\n  ft: {repair: fine-tuning, set: {epochs: 0}}", 6, "epochs=0 is not possible"),
    "an unknown key": ("repairs:\n  ft: {defense: fine-tuning}", 6, "did you mean 'defence'?"),
    "a repair twice": ("repairs: [fine-tuning, fine-tuning]", 5, "fine-tuning stands there twice"),
    "no name": ("repairs: [{fine-tuning: }]", 5, "a list holds names alone"),
    "an unknown detector": ("detectors: [buas]", 5, "unknown detector 'buas': did you mean 'bias'?"),
    "a detector of texts": ("detectors: [reader]", 5, "reader is for texts, but the task digits holds images"),
    "no examples": ("defender: [64, 0]", 5, "a number of the defender's examples is at least 1, not 0"),
    "no clean models": ("detectors: [bias]\ncontrols: false", 1, "bias scores models, which says nothing without"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named_with_their_line(mistake: str) -> None:
    reader = type("Reader", (Sure,), {"modality": "text"})
    text, line, words = MISTAKES[mistake]
    with registered(DETECTORS, reader=reader), pytest.raises(AnchorlabError) as caught:
        parse_suite(HEAD + text, "mine.yaml")
    assert str(caught.value).startswith(f"line {line} of mine.yaml"), caught.value
    assert words in str(caught.value)


def test_short_and_long_forms_mean_the_same() -> None:
    short = parse_suite(HEAD + "repairs: [fine-tuning]\ndetectors: bias\ndefender: 20\n")
    long = parse_suite(HEAD + "repairs: {fine-tuning: {repair: fine-tuning}}\ndetectors: {bias: }\ndefender: [20]\n")
    assert short == long
    assert parse_suite(short.to_yaml()) == short


def test_smoke_makes_repairs_quick_and_takes_all_examples_there_are() -> None:
    smoke = smoke_form(parse_suite(HEAD + "repairs: [fine-tuning, shrink]\ndefender: [640]\n"))
    assert smoke.repairs["fine-tuning"].set == {"epochs": 1}
    assert smoke.repairs["shrink"].set == {}
    assert smoke.defender == ["all"]
    assert smoke.tasks[0].limit == 100
    assert smoke_form(parse_suite(HEAD)).tasks[0].limit == 20
