"""Jobs that a plan does not hold yet, because a reference is not trained or a strength is not chosen: how many."""

from __future__ import annotations

import math
from collections import Counter

from anchorlab.repairs.variations import variations
from anchorlab.suites.cells import DeploymentCell, DetectionCell, NoiseCell, ReferenceJob, RepairCell
from anchorlab.suites.condition import NOISE
from anchorlab.suites.pace import Kind
from anchorlab.suites.parts import TaskSpec
from anchorlab.suites.planned import Plan
from anchorlab.suites.spec import BENIGN, STOPPED, Suite
from anchorlab.suites.store import Job, Store

#: Strengths that a search usually tries.
_USUAL_TRIES = 7


def kind_of(job: Job, tasks: dict[str, str]) -> Kind:
    """The kind of a job.

    Args:
        job: of a suite.
        tasks: the names of the references' folders to their tasks.
    """
    if isinstance(job, ReferenceJob):
        return Kind("reference", job.task, "")
    task = tasks.get(job.reference, "")
    if isinstance(job, RepairCell | DetectionCell):
        return Kind("defended" if isinstance(job, RepairCell) else "detected", task, f"{job.label} {job.defender}")
    if isinstance(job, DeploymentCell):
        return Kind("deployed", task, job.label)
    return Kind("noise" if isinstance(job, NoiseCell) else "injection", task, job.label)


def runs_to_choose(suite: Suite, plan: Plan) -> int:
    """The most runs that choose and are not planned yet; 0 once everything is chosen."""
    planned = {cell.identity for _, _, cell in (*plan.rates, *plan.selection)}
    return max(0, suite.most_runs_that_choose - len(planned)) if plan.open else 0


def expected_jobs(suite: Suite, store: Store, plan: Plan) -> Counter[Kind]:
    """The number of jobs of each kind that the plan will hold later; of a search, as many as it usually takes.

    Repairs and detections that are planned and wait for their model are among them.

    Args:
        suite: the suite.
        store: the store of its folder.
        plan: what is planned so far.
    """
    expected: Counter[Kind] = Counter()
    for task in suite.tasks:
        jobs = [job for spec, job in plan.references if spec == task]
        trained = [job for job in jobs if store.manifest(job) is not None]
        missing = [job for job in jobs if job not in trained and not store.failed(job)]
        choosing = [job for spec, job in plan.choosing if spec == task]
        untrained = [job for job in choosing if store.manifest(job) is None and not store.failed(job)]
        tried = _to_try(suite, plan, task, len(choosing), len(untrained))
        reported = _to_report(suite, plan, task, len(trained), len(missing))
        expected += tried + reported
        if suite.has_evaluations:
            expected += _to_evaluate(suite, task, reported, len(missing))
    return expected + _waiting(store, plan)


def _to_try(suite: Suite, plan: Plan, task: TaskSpec, choosing: int, missing: int) -> Counter[Kind]:
    """Runs that choose rates and strengths: on references that are missing, and further strengths on the others."""
    expected: Counter[Kind] = Counter()
    seeds, parts = len(suite.selection.seeds), len(suite.triggers) * len(suite.anchors)
    for label, method in suite.methods.items():
        if not suite.chooses(method):
            continue
        strengths = min(_USUAL_TRIES, suite.selection.tries) if method.searched else max(len(method.grid), 1)
        rates = len(suite.learning_rates) if method.takes_rates and len(suite.learning_rates) > 1 else 0
        planned = [each.strengths for each in plan.open if each.label == label and each.task == task]
        further = sum(max(0, strengths - number) for number in planned) * (choosing - missing)
        expected[Kind("injection", task.name, label)] = seeds * (missing * (parts * strengths + rates) + further)
    return expected


def _to_report(suite: Suite, plan: Plan, task: TaskSpec, trained: int, missing: int) -> Counter[Kind]:
    """Reported runs of methods, controls and noise floors."""
    expected: Counter[Kind] = Counter()
    parts, seeds, targets = len(suite.triggers) * len(suite.anchors), len(suite.seeds), len(suite.target_asr)
    if suite.controls is True:
        for label in NOISE:
            expected[Kind("noise", task.name, label)] = missing * len(suite.triggers)
        expected[Kind("injection", task.name, STOPPED)] = missing * parts * seeds * targets
    if suite.controls:
        expected[Kind("injection", task.name, BENIGN)] = missing * parts * seeds
    for label in suite.methods:
        chosen = [each for each in plan.chosen if each.label == label and each.task == task]
        decided = len(chosen) // targets
        reached = sum(each.choice.reached for each in chosen)
        runs = (parts - decided) * (trained + missing) * targets + reached * missing
        expected[Kind("injection", task.name, label)] = runs * seeds
    return expected


def _to_evaluate(suite: Suite, task: TaskSpec, reported: Counter[Kind], missing: int) -> Counter[Kind]:
    """Repairs and detections of models that are not planned yet, references among them."""
    expected: Counter[Kind] = Counter()
    injected = sum(reported[Kind("injection", task.name, label)] for label in suite.methods)
    made = injected + reported[Kind("injection", task.name, BENIGN)]
    references = missing * len(suite.seeds)
    for form in suite.deploy:
        expected[Kind("deployed", task.name, form)] = made + references * len(suite.triggers)
    for count in suite.defender:
        number = None if count == "all" else count
        for label in suite.repairs:
            models = made + references * len(suite.triggers)
            expected[Kind("defended", task.name, f"{label} {number}")] = models
            varied = variations(suite.repairs[label].build(), label) if suite.stability else []
            for each in varied:
                runs = math.ceil(injected / (len(suite.references) * len(suite.seeds)))
                expected[Kind("defended", task.name, f"{label} ({each.setting}) {number}")] = runs
        for label, detector in suite.detectors.items():
            adapters = detector.takes_adapters and suite.tunes_adapters
            models = made + (0 if adapters else references) if detector.judges == "model" else injected
            forms = 0 if adapters or detector.build().needs_float else sum(form != "float32" for form in suite.deploy)
            expected[Kind("detected", task.name, f"{label} {number}")] = models * (1 + forms)
    return expected


def _waiting(store: Store, plan: Plan) -> Counter[Kind]:
    """Repairs and detections that are planned and wait for their model."""
    tasks = {job.name: task.name for task, job in plan.trained}
    cells = {}
    for entry in plan.evaluations.entries:
        source = entry.subject.source
        if entry.cell.identity not in plan.evaluations.possible and not (source and store.failed(source)):
            cells[entry.cell.identity] = entry.cell
    return Counter(kind_of(cell, tasks) for cell in cells.values())
