"""What there is to do for a suite, and what is done: a pure function of the suite and its folder.

The stages wait for each other where they must and nowhere else: a reference is trained; on it strengths are
tried on the split ``selection``; when all strengths of a method are done, its grid is extended or one of them
is chosen; what was chosen is run with the reported seeds and measured, once, on ``test``. A model that was reported
is then repaired and judged (``evaluations.py``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from anchorlab.errors import AnchorlabError
from anchorlab.injection.tuning import Tuning
from anchorlab.methods import METHODS
from anchorlab.settings import build, strength_value, values_of
from anchorlab.suites.cells import Cell, DetectionCell, InjectionCell, NoiseCell, ReferenceJob, RepairCell, Walk
from anchorlab.suites.evaluations import REFERENCE, Evaluations, Subject, plan_evaluations
from anchorlab.suites.parts import MethodSpec, TaskSpec, TriggerSpec
from anchorlab.suites.selection import Choice, choose, extension, means
from anchorlab.suites.spec import BENIGN, STOPPED, Suite
from anchorlab.suites.store import Job, Store
from anchorlab.suites.walk import FACTORS
from anchorlab.training.reference import Training
from anchorlab.triggers import TRIGGERS

if TYPE_CHECKING:
    import pandas as pd

#: Strengths to try; None alone for a method without a grid.
_Strengths = list[float | None]

Role = Literal["method", "control", "noise"]

#: The noise floor: label, batch size and precision of the second pass over the reference.
NOISE: dict[str, tuple[int, Literal["no", "bf16"]]] = {
    "same model, other batch size": (37, "no"),
    "same model, bf16": (500, "bf16"),
}


@dataclass(frozen=True)
class Reported:
    """A cell that the tables show, and its place in them.

    Attributes:
        cell: the cell that is run.
        task: its task, as in the suite.
        trigger: its trigger, as in the suite.
        role: method, control or noise floor.
        target_asr: the ASR at which it is compared; NaN for a cell that serves all targets.
        reference_seed: seed of its reference.
        anchors: the number of anchors, as in the suite; empty for the noise floor.
    """

    cell: Cell
    task: TaskSpec
    trigger: TriggerSpec
    role: Role
    target_asr: float
    reference_seed: int
    anchors: str


@dataclass(frozen=True)
class Chosen:
    """What was chosen for a method, in one part of the suite, at one target."""

    task: TaskSpec
    trigger: TriggerSpec
    anchors: str
    label: str
    target_asr: float
    parameters: dict[str, Any]
    choice: Choice


@dataclass
class Plan:
    """All jobs that follow from what the folder holds, done or not.

    Attributes:
        references: the references to train.
        selection: runs that choose strengths, also of extended grids.
        reported: the cells that the tables show.
        chosen: the choices so far.
        undecided: number of runs to report of methods whose strengths are not chosen yet.
        evaluations: repairs of the reported models, and detectors over them.
    """

    references: list[tuple[TaskSpec, ReferenceJob]] = field(default_factory=list)
    selection: list[tuple[TaskSpec, TriggerSpec, InjectionCell]] = field(default_factory=list)
    reported: list[Reported] = field(default_factory=list)
    chosen: list[Chosen] = field(default_factory=list)
    undecided: int = 0
    evaluations: Evaluations = field(default_factory=Evaluations)

    def finished(self, job: Job, store: Store) -> bool:
        """Whether a job is done, and its model is there if another job needs it."""
        identity = job.identity
        return store.done(job) and (identity not in self.evaluations.lacking or identity in store.models())

    def jobs(self) -> Iterator[tuple[str, Job]]:
        """Stage and job of everything that can be run now or is done, each job once, in the order to run them."""
        seen = set()
        stages: list[tuple[str, Job]] = [("reference", job) for _, job in self.references]
        stages += [("selection", cell) for _, _, cell in self.selection]
        # By seed first, so that a suite that is stopped early has some runs of everything.
        stages += [("reported", entry.cell) for entry in sorted(self.reported, key=_order)]
        evaluations = [entry for entry in self.evaluations.entries if entry.cell.identity in self.evaluations.possible]
        # Then model by model, so that each is opened once.
        evaluations.sort(key=lambda entry: (entry.cell.seed, entry.subject.job.seed, entry.cell.model or ""))
        stages += [("defended", entry.cell) for entry in evaluations if isinstance(entry.cell, RepairCell)]
        stages += [("detected", entry.cell) for entry in evaluations if isinstance(entry.cell, DetectionCell)]
        for stage, job in stages:
            if job.identity not in seen:
                seen.add(job.identity)
                yield stage, job


def make_plan(suite: Suite, store: Store) -> Plan:
    """The plan of a suite, as far as its folder decides it.

    Args:
        suite: the suite to run.
        store: the store of its folder; nothing is written.
    """
    result = Plan()
    for task in suite.tasks:
        references = [reference_job(task, seed) for seed in suite.references]
        asr = suite.common_asr_of(task)
        result.references += [(task, job) for job in references]
        for trigger in suite.triggers:
            built_trigger = TRIGGERS.to_dict(TRIGGERS.parse(trigger.trigger))
            condition = _Condition(suite, store, task, trigger, references, built_trigger, asr, result)
            condition.noise_floor()
            for anchors in suite.anchors:
                for label, method in suite.methods.items():
                    condition.method(str(anchors), label, method)
                condition.controls(str(anchors))
    if suite.has_evaluations:
        result.evaluations = plan_evaluations(suite, store, list(_subjects(suite, store, result)), result.undecided)
    return result


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


@dataclass(frozen=True)
class _Condition:
    """One task and one trigger of a suite; adds to a plan."""

    suite: Suite
    store: Store
    task: TaskSpec
    trigger: TriggerSpec
    references: list[ReferenceJob]
    built_trigger: dict[str, Any]
    common_asr: float
    plan: Plan

    def method(self, anchors: str, label: str, method: MethodSpec) -> None:
        """The runs that choose a method's strength and, for each target that can be reached, the reported runs."""
        choosing = self.references[: self.suite.selection.references]
        trained = [job for job in choosing if self.store.manifest(job) is not None]
        waiting = any(job not in trained and not self.store.failed(job) for job in choosing)
        trials: list[InjectionCell] = []
        tried: pd.DataFrame | None = None
        if trained or not waiting:
            trials, tried = self._tried(trained, anchors, label, method)
        self.plan.selection += [(self.task, self.trigger, cell) for cell in trials]
        if waiting or tried is None:
            self.plan.undecided += len(self.references) * len(self.suite.seeds) * len(self.suite.target_asr)
            return
        for target in self.suite.target_asr:
            choice = choose(tried, target) if len(tried) else Choice(None, 1.0, False, False, 0, math.nan)
            strength = choice.strength if method.grid else None
            parameters = method.parameters(strength)
            self.plan.chosen.append(Chosen(self.task, self.trigger, anchors, label, target, parameters, choice))
            if choice.reached:
                self._report(label, method, strength, anchors, choice.scale, "method", target)

    def controls(self, anchors: str) -> None:
        """Plain tuning stopped at each target, and a benign update of the same budget."""
        if self.suite.controls:
            for target in self.suite.target_asr:
                stopped = MethodSpec(method="plain", tuning={"stop_at_asr": target})
                self._report(STOPPED, stopped, None, anchors, 1.0, "control", target)
            self._report(BENIGN, MethodSpec(method="benign"), None, anchors, 1.0, "control", math.nan)

    def noise_floor(self) -> None:
        """Each reference compared with itself."""
        if self.suite.controls:
            for job in self._trained():
                for label, (batch_size, precision) in NOISE.items():
                    cell = NoiseCell(
                        **self._common(job, label), split="test", batch_size=batch_size, precision=precision
                    )
                    self._add(cell, "noise", math.nan, job.seed, "")

    def _tried(
        self, references: list[ReferenceJob], anchors: str, label: str, method: MethodSpec
    ) -> tuple[list[InjectionCell], pd.DataFrame | None]:
        """The runs that choose, and mean ASR and KL of each strength; None for these while some are not done."""
        strengths: _Strengths = [*method.grid] or [None]
        for extensions in range(self.suite.selection.extensions + 1):
            cells = self._trials(references, anchors, label, method, strengths)
            if not all(self.store.done(cell) or self.store.failed(cell) for cell in cells):
                return cells, None
            tried = self._means(cells)
            if not method.grid or tried.empty or extensions == self.suite.selection.extensions:
                break
            ratio = method.grid[1] / method.grid[0]
            proposals = {extension(tried, ratio, target) for target in self.suite.target_asr}
            new = sorted(value for value in proposals if value is not None and _is_new(value, strengths, method))
            if not new:
                break
            strengths = [*strengths, *new]
        return cells, tried

    def _means(self, cells: list[InjectionCell]) -> pd.DataFrame:
        """Mean ASR and KL of each strength, without strengths of which a run failed, by diverging, for example."""
        import pandas as pd  # late: takes half a second, and a suite that has not begun has no results

        failed = {cell.strength for cell in cells if not self.store.done(cell)}
        rows = [
            {"strength": math.nan if cell.strength is None else cell.strength, **row}
            for cell in cells
            if cell.strength not in failed
            for row in self.store.result(cell) or []
        ]
        return means(pd.DataFrame(rows)) if rows else pd.DataFrame()

    def _trials(
        self, references: list[ReferenceJob], anchors: str, label: str, method: MethodSpec, strengths: _Strengths
    ) -> list[InjectionCell]:
        """The runs that try these strengths."""
        scales = tuple(self.suite.scales)
        return [
            InjectionCell(**common, **shared, seed=seed, scales=scales, split="selection")
            for strength in strengths
            for shared in (self._shared(method, strength, anchors),)
            for job in references
            for common in (self._common(job, label),)
            for seed in self.suite.selection.seeds
        ]

    def _report(
        self,
        label: str,
        method: MethodSpec,
        strength: float | None,
        anchors: str,
        scale: float,
        role: Role,
        target: float,
    ) -> None:
        shared = self._shared(method, strength, anchors) | {"scales": (scale,), "split": "test"}
        walk = self._walk(method)
        for job in self._trained():
            common = self._common(job, label)
            for seed in self.suite.seeds:
                self._add(self._kept(walk, {**common, **shared, "seed": seed}), role, target, job.seed, anchors)

    def _walk(self, method: MethodSpec) -> Walk | None:
        """The further scales of a reported run; none where there is no backdoor, or weights are far from the reference.

        Between a model of a fresh start and the reference lie models that are worse than both.
        """
        kind = METHODS[method.method]
        return Walk(asr=self.common_asr, factors=FACTORS) if kind.injects_backdoor and not kind.fresh_start else None

    def _kept(self, walk: Walk | None, values: dict[str, Any]) -> InjectionCell:
        """The cell with its walk, unless the same one without it was finished by an earlier version."""
        cell = InjectionCell(**values, walk=walk)
        if walk is not None and not self.store.done(cell):
            before = InjectionCell(**values)
            if self.store.done(before) or self.store.failed(before):
                return before
        return cell

    def _shared(self, method: MethodSpec, strength: float | None, anchors: str) -> dict[str, Any]:
        """What the runs of a method at a strength share, whatever their reference and seed."""
        built = METHODS.build(method.method, method.parameters(strength))
        tuning = build(Tuning, "the tuning", {**self.suite.tuning, **method.tuning})
        return {
            "method": method.method,
            "parameters": values_of(built),
            "strength": strength_value(built, built.active_strength_name),
            "anchors": None if anchors == "all" else int(anchors),
            "anchors_from": self.suite.anchors_from if method.anchors_data is None else "owner",
            "anchors_data": method.anchors_data,
            "tuning": values_of(tuning.for_model(self.task.architecture)),
        }

    def _common(self, job: ReferenceJob, label: str) -> dict[str, Any]:
        manifest = self.store.manifest(job)
        assert manifest is not None
        return {
            "reference": job.name,
            "reference_sha256": manifest["weights_sha256"],
            "label": label,
            "trigger": self.built_trigger,
            "rule": self.trigger.label_rule,
            "target": self.trigger.label,
        }

    def _add(self, cell: Cell, role: Role, target_asr: float, reference_seed: int, anchors: str) -> None:
        self.plan.reported.append(Reported(cell, self.task, self.trigger, role, target_asr, reference_seed, anchors))

    def _trained(self) -> list[ReferenceJob]:
        return [job for job in self.references if self.store.manifest(job) is not None]


def _is_new(strength: float, tried: _Strengths, method: MethodSpec) -> bool:
    """Whether the method can take a strength that no run has tried."""
    try:
        parameters = method.parameters(strength)
        METHODS.build(method.method, parameters)
    except AnchorlabError:
        return False
    return parameters not in [method.parameters(other) for other in tried]


def _order(entry: Reported) -> tuple[int, int]:
    return (getattr(entry.cell, "seed", -1), entry.reference_seed)
