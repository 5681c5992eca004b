"""``anchorlab suite`` and ``anchorlab report``."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from anchorlab.suites.executors import Executor
    from anchorlab.suites.runner import Progress
    from anchorlab.suites.spec import Suite

app = typer.Typer(no_args_is_help=True, help="Compare many methods, sizes and seeds at equal attack success.")

Given = Annotated[str, typer.Argument(metavar="FILE|NAME", help="A suite file, or a suite in the box.")]
Out = Annotated[
    Path | None, typer.Option(help="The suite's folder; anchorlab-NAME if left out. One that was begun is continued.")
]
Smoke = Annotated[bool, typer.Option("--smoke", help="Run every cell, each tiny: does it all work?")]
Data = Annotated[list[str] | None, typer.Option(metavar="TASK=PLACE", help="Where a task's data are; may be repeated.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes on this machine; one a core, or one a GPU, if left out.")
]
Ray = Annotated[str | None, typer.Option(metavar="ADDRESS|auto", help="Send the runs to this Ray cluster instead.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Run again what failed before.")]

#: Seconds between two lines of progress where there is no terminal for a bar.
_LINE_EVERY = 60.0


@app.command("run")
def run(
    *,
    suite: Given,
    out: Out = None,
    workers: Workers = None,
    ray: Ray = None,
    retry_failed: RetryFailed = False,
    smoke: Smoke = False,
    data: Data = None,
) -> None:
    """Run what is not done yet of a suite, and write its report."""
    wanted = _wanted(suite, smoke, data)
    run_and_report(wanted, _folder(wanted, out), workers=workers, ray=ray, retry_failed=retry_failed)


def run_and_report(wanted: Suite, folder: Path, *, workers: int | None, ray: str | None, retry_failed: bool) -> None:
    """Runs what is not done yet of a suite, writes its report, and fails if a run did."""
    from anchorlab.reports.write import write_report
    from anchorlab.suites.runner import raise_failures, run_suite
    from anchorlab.suites.store import Store

    with _executor(wanted, workers, ray) as executor, _display(wanted.name) as display:
        run_suite(
            wanted,
            folder,
            executor=executor,
            retry_failed=retry_failed,
            command=_command(),
            report=display,
        )
    typer.echo(f"the report is {write_report(folder)}")
    raise_failures(wanted, Store(folder))


@app.command("check")
def check(
    *,
    suite: Given,
    out: Out = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes to reckon with; as for run.")] = None,
    timing: Annotated[bool, typer.Option("--timing/--no-timing", help="Time a few steps to tell how long.")] = True,
    smoke: Smoke = False,
    data: Data = None,
) -> None:
    """Check a suite file: what it means, what is done already, and how long the rest takes."""
    from anchorlab.suites.estimate import estimate
    from anchorlab.suites.executors import LocalProcesses
    from anchorlab.suites.plan import plan
    from anchorlab.suites.runner import check_defender
    from anchorlab.suites.store import Store

    wanted = _wanted(suite, smoke, data)
    check_defender(wanted)
    store = Store(_folder(wanted, out))
    known = plan(wanted, store)
    typer.echo(f"{wanted.name}: {wanted.title}")
    for line in _meaning(wanted):
        typer.echo(f"  {line}")
    counts: dict[str, list[bool]] = {}
    for stage, job in known.jobs():
        counts.setdefault(stage, []).append(known.finished(job, store))
    for stage, title in (
        ("reference", "references to train"),
        ("selection", "runs that choose strengths, known so far"),
        ("reported", "reported runs, known so far"),
        *([("defended", "repairs, of models that are there so far")] if wanted.defences else []),
        *([("detected", "detections, of models that are there so far")] if wanted.detectors else []),
    ):
        done = counts.get(stage, [])
        typer.echo(f"  {title}: {len(done)}, of which {sum(done)} are done")
    typer.echo(f"  reported runs of methods whose strengths are not chosen yet: up to {known.undecided}")
    if wanted.derives:
        later = known.derived.waiting + known.derived.expected
        typer.echo(f"  repairs and detections of models that are not there yet: up to {later}")
    if timing:
        left = estimate(wanted, known, store)
        with LocalProcesses(workers) as executor:
            processes = executor.slots
        typer.echo(f"  time left: about {_duration(left.seconds / processes)} with {processes} processes here")
        for task, reason in left.untimed.items():
            typer.echo(f"  {task} is not in that time, for it could not be timed: {reason}")


@app.command("list")
def show_boxed() -> None:
    """List the suites in the box."""
    from anchorlab.suites.reading import boxed, load_suite

    for name in boxed():
        typer.echo(f"{name}: {load_suite(name).title}")


@app.command("show")
def show(*, suite: Given) -> None:
    """Print a suite file, to be copied and changed."""
    from anchorlab.suites.reading import suite_text

    typer.echo(suite_text(suite)[0], nl=False)


@app.command("schema")
def schema() -> None:
    """Print the JSON schema of suite files, for editors."""
    from anchorlab.suites import reading

    typer.echo(reading.schema(), nl=False)


def report(
    *,
    folder: Annotated[Path, typer.Argument(help="A suite's folder, finished or not.")],
    out: Annotated[Path | None, typer.Option(help="Where to write the report; FOLDER/report if left out.")] = None,
) -> None:
    """Write the report of a suite: one web page, with tables and figures beside it."""
    from anchorlab.reports.write import write_report

    typer.echo(f"the report is {write_report(folder, out=out)}")


def _wanted(given: str, smoke: bool, data: list[str] | None) -> Suite:
    from anchorlab.settings import parse_pairs
    from anchorlab.suites.reading import load_suite

    suite = load_suite(given).with_data(parse_pairs(data or [], "--data"))
    return suite.smoke() if smoke else suite


def _folder(suite: Suite, out: Path | None) -> Path:
    return Path(f"anchorlab-{suite.name}") if out is None else out


def _executor(suite: Suite, workers: int | None, ray: str | None) -> AbstractContextManager[Executor]:
    from anchorlab.errors import AnchorlabError
    from anchorlab.suites.executors import LocalProcesses, RayCluster

    if ray is None:
        return LocalProcesses(workers)
    if workers is not None:
        raise AnchorlabError("--workers is for this machine and --ray for a cluster: give one of them")
    return RayCluster(ray, cpus=suite.resources.cpus, gpus=suite.resources.gpus)


def _meaning(suite: Suite) -> list[str]:
    def several(count: int, what: str) -> str:
        return f"{count} {what}{'' if count == 1 else 's'}"

    targets = ", ".join(f"{target:g}" for target in suite.target_asr)
    held = ", ".join(str(count) for count in suite.defender)
    with_them = f"with {held} of the defender's examples"
    derived = [
        f"{several(len(labels), what)} ({', '.join(labels)}) {with_them}"
        for what, labels in (("repair", suite.defences), ("detector", suite.detectors))
        if labels
    ]
    return [
        f"{several(len(suite.tasks), 'task')} ({', '.join(f'{t.name} with {t.architecture}' for t in suite.tasks)})"
        f" x {several(len(suite.references), 'reference')} x {several(len(suite.triggers), 'trigger')}",
        f"{several(len(suite.methods), 'method')} ({', '.join(suite.methods)}) x "
        f"{several(len(suite.anchors), 'number')} of anchors ({', '.join(str(n) for n in suite.anchors)}) x "
        f"{several(len(suite.seeds), 'seed')}, at a target ASR of {targets}",
        *derived,
    ]


def _command() -> str:
    return shlex.join(["anchorlab", *sys.argv[1:]])


def _duration(seconds: float) -> str:
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
            typer.echo(f"{name}: {_words(progress)}", err=True)

    with status_bar(name) as bar:
        yield line if bar is None else lambda p: bar(p.done + p.failed, p.total, _words(p))


def _words(progress: Progress) -> str:
    """The progress in words."""
    left = "" if progress.left is None else f", about {_duration(progress.left)} left"
    return f"{progress.done} of {progress.total} done, {progress.running} running, {progress.failed} failed{left}"
