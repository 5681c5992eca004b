"""What there is to do for a suite, and what is done: a pure function of the suite and its folder.

The stages wait for each other where they must and nowhere else. References are trained, those that choose first; on
these, learning rates and then strengths are tried on the split ``selection``, where a search may ask for more when some
are done (``choosing.py``); what was chosen is run with the reported references and seeds and measured, once, on
``test``. A method with nothing to choose is reported at once. A model that was reported is then repaired and judged
(``evaluations.py``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from anchorlab.settings import build, values_of
from anchorlab.suites.cells import InjectionCell, ReferenceJob
from anchorlab.suites.condition import Condition
from anchorlab.suites.evaluations import REFERENCE, Subject, plan_evaluations
from anchorlab.suites.former_choice import FormerChoice
from anchorlab.suites.parts import TaskSpec
from anchorlab.suites.planned import Plan
from anchorlab.suites.spec import STOPPED, Suite
from anchorlab.suites.store import Store
from anchorlab.training.reference import Training


def make_plan(suite: Suite, store: Store, former: FormerChoice | None = None) -> Plan:
    """The plan of a suite, as far as its folder decides it.

    Args:
        suite: the suite to run.
        store: the store of its folder; nothing is written.
        former: how strengths were chosen, if an older version ran the suite and its folder is only read.
    """
    result = Plan()
    for task in suite.tasks:
        references = [reference_job(task, seed) for seed in suite.references]
        result.references += [(task, job) for job in references]
        choosing = _choosing(suite, task, references, former)
        result.choosing += [(task, job) for job in choosing if job not in references]
        around = (references, choosing, former, suite.common_asr_of(task), result)
        conditions = [Condition(suite, store, task, trigger, *around) for trigger in suite.triggers]
        rates = conditions[0].rates()
        for condition in conditions:
            condition.noise_floor()
            for anchors in suite.anchors:
                for label, method in suite.methods.items():
                    condition.method(str(anchors), label, method, rates)
                condition.controls(str(anchors), rates)
    if suite.has_evaluations:
        result.evaluations = plan_evaluations(suite, store, list(_subjects(suite, store, result)), result.undecided)
    if suite.keep_models:
        kept = store.models()
        made = [entry.cell for entry in result.reported if isinstance(entry.cell, InjectionCell)]
        lacking = {cell.identity for cell in made if cell.identity not in kept and store.done(cell)}
        result.evaluations.lacking |= lacking
    return result


def _choosing(
    suite: Suite, task: TaskSpec, references: list[ReferenceJob], former: FormerChoice | None
) -> list[ReferenceJob]:
    """The references on which strengths are chosen; none if there is nothing to choose."""
    if former is not None:
        return references[: former.references]
    if not any(suite.chooses(method) for method in suite.methods.values()):
        return []
    return [reference_job(task, seed) for seed in suite.selection.references]


def _subjects(suite: Suite, store: Store, plan: Plan) -> Iterator[Subject]:
    """The models that are repaired and judged: references, benign updates and the reported runs of methods."""
    for task, job in plan.references:
        if store.manifest(job) is not None:
            for trigger in suite.triggers:
                for seed in suite.seeds:
                    yield Subject(None, job, task, trigger, REFERENCE, "reference", math.nan, "", seed)
    jobs = {job.name: job for _, job in plan.references}
    for entry in plan.reported:
        cell = entry.cell
        stopped = entry.role == "control" and cell.label == STOPPED
        if isinstance(cell, InjectionCell) and entry.role != "noise" and not stopped:
            job = jobs[cell.reference]
            yield Subject(
                cell, job, entry.task, entry.trigger, cell.label, entry.role, entry.target_asr, entry.anchors, cell.seed
            )


def reference_job(task: TaskSpec, seed: int) -> ReferenceJob:
    """The reference of a task and a seed."""
    return ReferenceJob(
        task=task.name,
        model=task.architecture,
        data=task.data,
        limit=task.limit,
        columns=None if task.columns is None else values_of(task.columns),
        seed=seed,
        training=values_of(build(Training, "the training", task.training).for_model(task.architecture)),
        max_length=task.max_length,
    )
