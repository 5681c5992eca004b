"""The plan of a suite: what is run, what is reported of it, and what is still to be chosen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from anchorlab.suites.cells import Cell, DeploymentCell, DetectionCell, InjectionCell, ReferenceJob, RepairCell
from anchorlab.suites.evaluations import Evaluations
from anchorlab.suites.parts import TaskSpec, TriggerSpec
from anchorlab.suites.selection import Choice, RateChoice
from anchorlab.suites.store import Job, Store

Role = Literal["method", "control", "noise"]


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
    rate: RateChoice | None = None


@dataclass(frozen=True)
class Undecided:
    """A method in one part of the suite that is not chosen yet, and the number of its strengths that are planned."""

    task: TaskSpec
    label: str
    strengths: int


@dataclass
class Plan:
    """All jobs that follow from what the folder holds, done or not.

    Attributes:
        references: the references to train that tables report.
        choosing: the references to train that choose.
        selection: runs that choose strengths, as far as they are known.
        rates: runs that choose learning rates.
        reported: the cells that the tables show.
        chosen: the choices so far.
        open: the choices to come.
        undecided: number of runs to report that wait for a choice or a reference.
        evaluations: repairs of the reported models, and detectors over them.
    """

    references: list[tuple[TaskSpec, ReferenceJob]] = field(default_factory=list)
    choosing: list[tuple[TaskSpec, ReferenceJob]] = field(default_factory=list)
    selection: list[tuple[TaskSpec, TriggerSpec, InjectionCell]] = field(default_factory=list)
    rates: list[tuple[TaskSpec, TriggerSpec, InjectionCell]] = field(default_factory=list)
    reported: list[Reported] = field(default_factory=list)
    chosen: list[Chosen] = field(default_factory=list)
    open: list[Undecided] = field(default_factory=list)
    undecided: int = 0
    evaluations: Evaluations = field(default_factory=Evaluations)

    @property
    def trained(self) -> list[tuple[TaskSpec, ReferenceJob]]:
        """Every reference to train, those that choose first."""
        return [*self.choosing, *self.references]

    def finished(self, job: Job, store: Store) -> bool:
        """Whether a job is done, and its model is there if another job needs it."""
        identity = job.identity
        return store.done(job) and (identity not in self.evaluations.lacking or identity in store.models())

    def jobs(self) -> Iterator[tuple[str, Job]]:
        """Stage and job of everything that can be run now or is done, each job once, in the order to run them."""
        seen = set()
        stages: list[tuple[str, Job]] = [("reference", job) for _, job in self.trained]
        stages += [("selection", cell) for _, _, cell in (*self.rates, *self.selection)]
        # By seed first, so that a suite that is stopped early has some runs of everything.
        stages += [("reported", entry.cell) for entry in sorted(self.reported, key=_order)]
        evaluations = [entry for entry in self.evaluations.entries if entry.cell.identity in self.evaluations.possible]
        # Then model by model, so that each is opened once.
        evaluations.sort(key=lambda entry: (entry.cell.seed, entry.subject.job.seed, entry.cell.model or ""))
        stages += [("deployed", entry.cell) for entry in evaluations if isinstance(entry.cell, DeploymentCell)]
        stages += [("defended", entry.cell) for entry in evaluations if isinstance(entry.cell, RepairCell)]
        stages += [("detected", entry.cell) for entry in evaluations if isinstance(entry.cell, DetectionCell)]
        for stage, job in stages:
            if job.identity not in seen:
                seen.add(job.identity)
                yield stage, job


def _order(entry: Reported) -> tuple[int, int]:
    return (getattr(entry.cell, "seed", -1), entry.reference_seed)
