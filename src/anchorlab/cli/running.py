"""Runs a suite from the command line: where it is worked on, its progress, and its report."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from anchorlab.cli.answer import Answer
from anchorlab.cli.options import ExecutionOptions, say_reading
from anchorlab.cli.shared import say
from anchorlab.errors import AnchorlabError

if TYPE_CHECKING:
    from anchorlab.suites.executors import Executor
    from anchorlab.suites.runner import Progress
    from anchorlab.suites.spec import Suite

#: Seconds between two lines of progress where there is no terminal for a bar.
_LINE_EVERY = 60.0


def run_and_report(suite: Suite, folder: Path, execution: ExecutionOptions) -> Answer:
    """Runs what is not done yet of a suite, writes its report, and fails if a run did."""
    from anchorlab.reports.write import write_report
    from anchorlab.suites.runner import raise_failures, run_suite
    from anchorlab.suites.store import Store

    say_own_data(suite)
    with executor_of(suite, execution) as executor, _display(suite.name) as display:
        run_suite(
            suite,
            folder,
            executor=executor,
            retry_failed=execution.retry_failed,
            command=shlex.join(["anchorlab", *sys.argv[1:]]),
            report=display,
        )
    page = write_report(folder)
    say(f"the report is {page}")
    raise_failures(suite, Store(folder))
    return Answer(wrote=page)


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
        return LocalProcesses(execution.workers, cpus=cpus_of(suite))
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


def duration(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


@contextmanager
def _display(name: str) -> Iterator[Callable[[Progress], None]]:
    """Shows the progress: a bar on a terminal, else a line each minute and one at the end."""
    from anchorlab.progress import status_bar

    last = -_LINE_EVERY

    def line(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY or progress.done + progress.failed == progress.total:
            last = time.monotonic()
            say(f"{name}: {_words(progress)}", err=True)

    with status_bar(name) as bar:
        yield line if bar is None else lambda p: bar(p.done + p.failed, p.total, _words(p))


def _words(progress: Progress) -> str:
    """The progress in words."""
    left = "" if progress.left is None else f", about {duration(progress.left)} left"
    return f"{progress.done} of {progress.total} done, {progress.running} running, {progress.failed} failed{left}"
