"""Runs a suite: hands out the jobs that can run, and writes their results. It can be killed at any moment.

Only this process writes into the suite's folder. It writes one result at a time, and each whole, so that the same
command continues from there whatever happens. It claims a job before it hands it out; several runners may share a
folder.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from anchorlab.arguments import checked
from anchorlab.errors import AnchorlabError
from anchorlab.files import user_path
from anchorlab.notices import notice
from anchorlab.suites.cells import DeploymentCell, DetectionCell, ReferenceJob, RepairCell
from anchorlab.suites.display import short_name, suite_display
from anchorlab.suites.evaluating import measure_evaluation
from anchorlab.suites.executors import Executor, LocalProcesses, RayCluster
from anchorlab.suites.expected import expected_jobs, kind_of
from anchorlab.suites.opened import DamagedModel
from anchorlab.suites.own_data import check_data
from anchorlab.suites.pace import Kind, Pace
from anchorlab.suites.plan import make_plan
from anchorlab.suites.planned import Plan
from anchorlab.suites.programs import check_programs
from anchorlab.suites.repeated import refuse_repeated
from anchorlab.suites.spec import Suite
from anchorlab.suites.starting import UnguardedScript, refuse_unguarded
from anchorlab.suites.store import Job, Store
from anchorlab.suites.work import measure_cell, train_reference
from anchorlab.triggers import Picture

#: Seconds between two looks at what other runners have done, while there is nothing to do here.
_POLL_SECONDS = 0.5

#: Injected models that a cluster's memory holds at a time, beside the models of running jobs.
_SHARED_MODELS = 8


@dataclass
class Progress:
    """How far a suite is.

    Attributes:
        total: jobs planned so far, and jobs that are expected once references are trained and strengths are chosen.
        done: jobs that this or another runner finished, now or before.
        failed: jobs that failed.
        ran: jobs that this runner ran to their end, failed ones too.
        failed_here: jobs that this runner ran and that failed.
        running: jobs at work for this runner.
        at_work: what these are, in words, with the attack success rate so far where it is known.
        left: seconds that the rest takes, by the times of jobs that finished here; None while there are none.
    """

    total: int = 0
    done: int = 0
    failed: int = 0
    ran: int = 0
    failed_here: int = 0
    running: int = 0
    at_work: tuple[str, ...] = ()
    left: float | None = None


@dataclass
class _Running:
    """A job at work: its stage, the claim on it, and when it began."""

    stage: str
    job: Job
    lock: FileLock
    began: float


@dataclass
class _Run:
    suite: Suite
    store: Store
    executor: Executor
    report: Callable[[Progress], None]
    plan: Plan = field(init=False)
    queue: deque[tuple[str, Job]] = field(default_factory=deque)
    running: dict[Future[Any], _Running] = field(default_factory=dict)
    ended: dict[Future[Any], _Running] = field(default_factory=dict)
    shared: dict[str, Any] = field(default_factory=dict)
    models: OrderedDict[str, Any] = field(default_factory=OrderedDict)
    damaged: set[Path] = field(default_factory=set)
    outdated: bool = False
    unblocked: bool = False
    progress: Progress = field(default_factory=Progress)
    pace: Pace = field(default_factory=Pace)
    pending: Counter[Kind] = field(default_factory=Counter)
    tasks: dict[str, str] = field(default_factory=dict)

    def run(self) -> Plan:
        """Runs all jobs; returns the plan, with every job done or failed."""
        self.refresh()
        while self.queue or self.running:
            elsewhere = self.hand_out()
            self.report_progress()
            if self.running:
                finished, _ = wait(self.running, timeout=_POLL_SECONDS * 2, return_when=FIRST_COMPLETED)
                self.collect_all(finished)
            else:  # other runners are at work on all that is left, or have just finished it
                if elsewhere:
                    time.sleep(_POLL_SECONDS)
                self.refresh()
        self.report_progress()
        return self.plan

    def collect_all(self, finished: set[Future[Any]]) -> None:
        """Writes what has finished, and plans again where that may have made other jobs possible.

        A plan is about the whole suite, so it is made when what is known may not last much longer, and not each time.
        """
        for future in finished:
            self.ended[future] = self.running.pop(future)
        try:
            self.hand_out()  # before it writes, so that nobody waits for the disk
        finally:
            for future in finished:
                self.collect(future)
        if self.outdated or (finished and not self.queue) or (self.unblocked and len(self.queue) < self.executor.slots):
            self.refresh()

    def refresh(self) -> None:
        """Plans again from what the folder holds now, and fills the queue."""
        self.plan = make_plan(self.suite, self.store)
        self.outdated = self.unblocked = False
        self.tasks = {job.name: task.name for task, job in self.plan.trained}
        expected = expected_jobs(self.suite, self.store, self.plan)
        running = {each.job.identity for each in self.running.values()}
        before = self.progress
        self.progress = Progress(total=expected.total(), ran=before.ran, failed_here=before.failed_here)
        self.queue.clear()
        for stage, job in self.plan.jobs():
            self.progress.total += 1
            if self.finished(job):
                self.progress.done += 1
            elif self.store.failed(job):
                self.progress.failed += 1
            elif job.identity not in running:
                self.queue.append((stage, job))
        self.pending = Counter(kind_of(job, self.tasks) for _, job in self.queue) + expected

    def finished(self, job: Job) -> bool:
        return self.plan.finished(job, self.store)

    def hand_out(self) -> bool:
        """Gives the executor the jobs that it can take; says whether another runner is at work on some of the queue."""
        elsewhere: list[tuple[str, Job]] = []
        while self.queue and len(self.running) < self.executor.slots:
            stage, job = self.queue.popleft()
            lock = self.store.claim(job)
            if lock is None:
                elsewhere.append((stage, job))
                continue
            self.pending[kind_of(job, self.tasks)] -= 1
            if self.finished(job) or self.store.failed(job):  # by another runner, since the last refresh
                self.store.release(job, lock)
                self.progress.done += 1
            else:
                began = time.monotonic()
                self.running[self.submit(job)] = _Running(stage, job, lock, began)
        self.queue.extend(elsewhere)
        return bool(elsewhere)

    def submit(self, job: Job) -> Future[Any]:
        # Another machine does not see this disk, so an interrupted job starts from the beginning there.
        checkpoint = self.store.checkpoint(job) if isinstance(self.executor, LocalProcesses) else None
        if isinstance(job, ReferenceJob):
            elsewhere = map(self.executor.share, self.store.with_data_elsewhere(job))
            return self.executor.submit(train_reference, job, checkpoint, self.suite.takes_all_anchors, *elsewhere)
        if job.reference not in self.shared:
            self.shared[job.reference] = self.executor.share(self.store.folder / "references" / job.reference)
        reference = self.shared[job.reference]
        if isinstance(job, RepairCell | DetectionCell | DeploymentCell):
            return self.executor.submit(measure_evaluation, job, reference, self.model(job.model))
        needed = self.suite.keep_models or job.identity in self.plan.evaluations.needed
        keep = needed and job.split == "test" and job.kind == "injection"
        return self.executor.submit(measure_cell, job, reference, checkpoint, keep)

    def model(self, identity: str | None) -> Any:
        """An injected model as the executor hands it to jobs; None without an identity, or if the model is gone."""
        if identity is None:
            return None
        if identity not in self.models:
            folder = self.store.models().get(identity)
            if folder is None:
                return None
            self.models[identity] = self.executor.share(folder)
        self.models.move_to_end(identity)
        while len(self.models) > _SHARED_MODELS:
            self.models.popitem(last=False)
        return self.models[identity]

    def collect(self, future: Future[Any]) -> None:
        """Writes the result or failure of a job, and notes whether it may have made other jobs possible."""
        running = self.ended[future]
        stage, job = running.stage, running.job
        try:
            error = future.exception()
            if isinstance(error, DamagedModel) and self.make_again(job, error):
                self.outdated = True
            elif isinstance(error, Exception) and not isinstance(error, CancelledError | UnguardedScript):
                self.store.fail(job, stage, error)
                self.progress.failed += 1
                self.progress.ran += 1
                self.progress.failed_here += 1
            elif error is not None:
                raise error
            else:
                self.save(job, future.result())
                seconds = self.told(future).get("seconds", time.monotonic() - running.began)
                self.pace.add(kind_of(job, self.tasks), seconds)
                self.progress.done += 1
                self.progress.ran += 1
        finally:
            self.store.release(job, self.ended.pop(future).lock)
        if stage in ("reference", "selection") or job.identity in self.plan.evaluations.needed:
            self.unblocked = True

    def make_again(self, job: Job, error: DamagedModel) -> bool:
        """Plans to make a reference or a model again that a job found damaged; says whether it was not made so yet."""
        folder = self.folder_of(job, of_reference=error.of_reference)
        if folder is None:  # another job has said so, and it is being made
            return True
        if folder in self.damaged:
            return False
        self.damaged.add(folder)
        notice(f"{folder} is damaged ({error}): it is made again")
        self.store.discard(folder)
        self.shared.pop(folder.name, None)
        self.models.pop(getattr(job, "model", None) or "", None)
        return True

    def folder_of(self, job: Job, *, of_reference: bool) -> Path | None:
        """The folder of a job's reference, or of the model that it is about; None if it does not count as there."""
        if not of_reference:
            return self.store.models().get(getattr(job, "model", None) or "")
        references = (known for _, known in self.plan.trained if known.name == getattr(job, "reference", None))
        known = next(references, None)
        return None if known is None or self.store.manifest(known) is None else self.store.reference(known)

    def save(self, job: Job, result: Any) -> None:
        if isinstance(job, ReferenceJob):
            self.store.save_reference(job, result)
        else:
            self.store.save(job, result)

    def report_progress(self) -> None:
        now = time.monotonic()
        running = [(kind_of(each.job, self.tasks), now - each.began) for each in self.running.values()]
        self.progress.running = len(running)
        self.progress.left = self.pace.left(+self.pending, running, self.executor.slots)
        self.progress.at_work = tuple(self.words(future, each.job) for future, each in self.running.items())
        self.report(self.progress)

    def words(self, future: Future[Any], job: Job) -> str:
        """What a running job is, and its attack success rate so far if it says it."""
        told = self.told(future)
        return f"{short_name(job)}, ASR {told['asr']:.2f}" if "asr" in told else short_name(job)

    def told(self, future: Future[Any]) -> Mapping[str, float]:
        """What a job in another process of this machine tells of itself."""
        return self.executor.figures(future) if isinstance(self.executor, LocalProcesses) else {}

    def keep_finished(self) -> None:
        """Where the run ends early: writes the results that are there, as far as they can be written."""
        self.ended |= {future: self.running.pop(future) for future in list(self.running) if future.done()}
        for future in list(self.ended):
            if not future.cancelled() and future.exception() is None:
                with suppress(AnchorlabError, OSError):
                    self.collect(future)

    def release_claims(self) -> None:
        for each in (*self.running.values(), *self.ended.values()):
            self.store.release(each.job, each.lock)


@checked
def run_suite(
    suite: Suite,
    folder: str | Path,
    *,
    executor: Executor | None = None,
    retry_failed: bool = False,
    programs: bool = False,
    command: str = "",
    report: Callable[[Progress], None] | None = None,
) -> Plan:
    """Runs the jobs of a suite that are not done yet.

    Args:
        suite: the suite to run.
        folder: the folder of the results; it need not exist yet.
        executor: runs the jobs; None for processes of this machine. The caller closes an executor that it passes.
        retry_failed: whether to run jobs again that failed before.
        programs: whether the suite may start the programs of its scanners (the detector ``command``).
        command: the command line, for the record.
        report: called with the progress, at least about once a second; None for a bar on a terminal or in a notebook.

    Returns:
        The plan, with every job done or failed.

    Raises:
        AnchorlabError: if the folder holds something else, cannot be written, the suite's own data cannot be read, or
            it has scanners that are not allowed or not there, or the script that calls this has no main guard.
    """
    return run_in(
        Store(user_path(folder)),
        suite,
        executor,
        retry_failed=retry_failed,
        programs=programs,
        command=command,
        report=report,
    )


def run_in(
    store: Store,
    suite: Suite,
    executor: Executor | None = None,
    *,
    retry_failed: bool = False,
    programs: bool = False,
    command: str = "",
    report: Callable[[Progress], None] | None = None,
) -> Plan:
    """Does what ``run_suite`` does, in a store that the caller reads on from."""
    refuse_unguarded()
    here = not isinstance(executor, RayCluster)
    check_programs(suite, allowed=programs, here=here)
    refuse_repeated(suite)
    check_data(suite, store, here=here)
    store.begin(suite.to_yaml(), {"command": command})
    store.keep_pictures({spec.trigger: spec.built.data for spec in suite.triggers if isinstance(spec.built, Picture)})
    if retry_failed:
        store.forget_failures()
    if executor is None:
        with LocalProcesses(cpus=suite.resources.cpus, gpus=suite.resources.gpus) as processes:
            return _run(suite, store, processes, report)
    return _run(suite, store, executor, report)


def _run(suite: Suite, store: Store, executor: Executor, report: Callable[[Progress], None] | None) -> Plan:
    with suite_display(suite.name) if report is None else nullcontext(report) as shown:
        run = _Run(suite, store, executor, shown)
        try:
            return run.run()
        except BaseException:
            run.keep_finished()
            raise
        finally:
            run.release_claims()


def failures(suite: Suite, store: Store, plan: Plan | None = None) -> list[dict[str, str]]:
    """The jobs of a suite that failed and are not done, with their errors.

    Args:
        suite: the suite.
        store: the store of its folder.
        plan: the plan of the suite, if it is at hand.
    """
    plan = make_plan(suite, store) if plan is None else plan
    identities = {job.identity for _, job in plan.jobs() if not plan.finished(job, store)}
    return [failure for failure in store.failures() if failure["identity"] in identities]
