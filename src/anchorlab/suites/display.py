"""What is shown of a suite while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from anchorlab.progress import duration, status_bar, tell
from anchorlab.suites.cells import DeploymentCell, DetectionCell, InjectionCell, ReferenceJob, RepairCell

if TYPE_CHECKING:
    from anchorlab.suites.runner import Progress
    from anchorlab.suites.store import Job

#: Running jobs that are named.
_NAMED = 2


@contextmanager
def suite_display(name: str) -> Iterator[Callable[[Progress], None]]:
    """Shows the progress of a suite as any other work: a bar, lines where they are wanted, or nothing.

    Args:
        name: of the suite.
    """
    with status_bar(name) as show:

        def report(progress: Progress) -> None:
            settled = progress.done + progress.failed
            show(settled, progress.total, in_words(progress), at_work(progress))
            figures = {"done": progress.done, "failed": progress.failed, "expected": progress.total}
            tell(f"suite {name}", settled, progress.total, figures)

        yield report


def in_words(progress: Progress) -> str:
    """The progress in words: counts, and the time left."""
    failed = f", {progress.failed} failed" if progress.failed else ""
    left = "" if progress.left is None or not progress.running else f", about {duration(progress.left)} left"
    return f"{progress.done:,} of {progress.total:,} done{failed}{left}"


def at_work(progress: Progress) -> str:
    """What is running, in words; empty if nothing is."""
    more = progress.running - _NAMED
    others = [f"{more} more"] if more > 0 else []
    return f"running: {'; '.join([*progress.at_work[:_NAMED], *others])}" if progress.running else ""


def short_name(job: Job) -> str:
    """What a job is, as short as a line of progress needs it: the suite's settings are known."""
    if isinstance(job, ReferenceJob):
        return f"reference {job.seed} of {job.task}"
    if isinstance(job, InjectionCell):
        strength = "" if job.strength is None else f" at {job.strength:g}"
        return f"{job.label}{strength}, seed {job.seed}"
    if isinstance(job, RepairCell | DetectionCell | DeploymentCell):
        model = "a reference" if job.model is None else job.of.partition(",")[0]
        return f"{job.label} on {model}, seed {job.seed}"
    return job.label
