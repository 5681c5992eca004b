"""Runs a suite from the command line: where it is worked on, its progress, and its report."""

from __future__ import annotations

import shlex
import sys
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from anchorlab.cli.answer import Answer
from anchorlab.cli.options import ExecutionOptions, say_reading
from anchorlab.cli.suite_answer import Counts, results_by_name, suite_answer
from anchorlab.errors import AnchorlabError, command_of

if TYPE_CHECKING:
    from anchorlab.suites.executors import Executor
    from anchorlab.suites.runner import Progress
    from anchorlab.suites.spec import Suite


def run_and_report(
    suite: Suite, folder: Path, execution: ExecutionOptions, again: str, *, programs: bool = False
) -> Answer:
    """Runs what is not done yet of a suite, and writes its report unless the one that is there says all of it.

    Args:
        suite: the suite to run.
        folder: its folder.
        execution: where the runs are worked on.
        again: the command that does the same, for what failed.
        programs: whether the suite may start the programs of its scanners.
    """
    from anchorlab.reports.suite.written import current_page, write_suite_report
    from anchorlab.suites.display import suite_display
    from anchorlab.suites.plan import make_plan
    from anchorlab.suites.results import results_of
    from anchorlab.suites.runner import run_in
    from anchorlab.suites.store import Store
    from anchorlab.training.tracking import check_trackers, tracked

    check_trackers(execution.track or [])
    say_own_data(suite)
    counts, store = Counts(), Store(folder)
    command = shlex.join(["anchorlab", *sys.argv[1:]])
    settings = suite.model_dump(mode="json", exclude={"title"})
    tracking = tracked(execution.track or [], run=suite.name, folder=folder, settings=settings)
    with ExitStack() as stack:
        executor = stack.enter_context(executor_of(suite, execution))
        show = stack.enter_context(suite_display(suite.name))

        def report(progress: Progress) -> None:
            if counts.progress is None:  # only now, because a tracker writes into the suite's folder
                counts.log = stack.enter_context(tracking)
            counts.note(progress)
            show(progress)

        plan = run_in(
            store,
            suite,
            executor,
            retry_failed=execution.retry_failed,
            programs=programs,
            command=command,
            report=report,
        )
        if counts.ran:  # where nothing did, every cell was read and planned a moment ago, and 10,000 take seconds
            store = Store(folder)
            plan = make_plan(suite, store)
        # Of this suite and command, also where another suite has begun in the folder since.
        results = replace(results_of(suite, plan, store, suite.to_yaml()), command=command)
        if execution.track:
            counts.log(results_by_name(results))
    page = None if counts.ran else current_page(results, folder)
    already = page is not None
    page = page or write_suite_report(results, folder)
    return suite_answer(results, page, folder, counts=counts, already=already, again=again)


def this_command() -> str:
    """The command that runs now, as a shell reads it, without ``--retry-failed``."""
    words = [word for word in sys.argv[1:] if word != "--retry-failed"]
    return command_of("anchorlab", *words, otherwise="the same command with")


def say_own_data(suite: Suite) -> None:
    """Says what was read of data of the user's own; whoever needs them says what is wrong with them."""
    for spec in suite.tasks:
        if spec.columns is not None:
            with suppress(AnchorlabError):
                say_reading(spec.load(seed=suite.references[0]))


def executor_of(suite: Suite, execution: ExecutionOptions) -> AbstractContextManager[Executor]:
    """What works on the runs: processes of this machine, or a cluster."""
    from anchorlab.models.accelerator import asked
    from anchorlab.suites.executors import LocalProcesses, RayCluster

    if execution.ray is None:
        return LocalProcesses(execution.workers, cpus=cpus_of(suite), gpus=suite.resources.gpus)
    if execution.workers is not None:
        raise AnchorlabError("--workers is for this machine and --ray for a cluster: give one of them")
    if asked().device is not None:
        raise AnchorlabError(
            "--device is for this machine and --ray for a cluster: leave --device out, and give the suite "
            "'resources: {gpus: 1}' for GPUs of the cluster"
        )
    return RayCluster(execution.ray, cpus=cpus_of(suite), gpus=suite.resources.gpus)


def cpus_of(suite: Suite) -> float:
    """Cores of each run, as many threads as are whole: those of ``--threads``, or else the suite's own."""
    from anchorlab.models.accelerator import asked

    return asked().threads or suite.resources.cpus
