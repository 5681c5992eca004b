"""``anchorlab suite``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anchorlab.cli.answer import Answer
from anchorlab.cli.commands import add_command, new_app
from anchorlab.cli.groups import OptionGroup
from anchorlab.cli.options import ExecutionOptions
from anchorlab.cli.running import cpus_of, run_and_report, say_own_data
from anchorlab.cli.shared import say
from anchorlab.errors import AnchorlabError, command_of, shortened

if TYPE_CHECKING:
    from anchorlab.cli.suite_quick import Outline
    from anchorlab.suites.planned import Plan
    from anchorlab.suites.reading import SuiteMistakes
    from anchorlab.suites.spec import Suite
    from anchorlab.suites.store import Store

SuiteName = Annotated[str, typer.Argument(metavar="FILE|NAME", help="A suite file, or the name of a built-in suite.")]

app = new_app(help="Compare many methods, sizes and seeds at equal attack success.")


@dataclass(frozen=True)
class SuiteOptions(OptionGroup):
    """Which suite, where it lies, and how."""

    suite: SuiteName
    out: Annotated[
        Path | None,
        typer.Option(help="The suite's folder; anchorlab-NAME if left out. A suite begun there continues."),
    ] = None
    smoke: Annotated[bool, typer.Option("--smoke", help="Make every cell tiny, to see whether all works.")] = False
    data: Annotated[
        list[str] | None, typer.Option(metavar="TASK=PLACE", help="Where a task's data are; may be repeated.")
    ] = None

    def load(self) -> Suite:
        """The suite that is wanted."""
        from anchorlab.settings import parse_pairs
        from anchorlab.suites.reading import SuiteMistakes, load_suite
        from anchorlab.suites.smoke import smoke_form

        try:
            suite = load_suite(self.suite).with_data(parse_pairs(self.data or [], "--data"))
        except SuiteMistakes as error:
            raise _all_said(error) from error
        return smoke_form(suite) if self.smoke else suite

    def outline(self) -> Outline | None:
        """The suite as a quick look shows it; None where that is not enough, or its folder is there."""
        from anchorlab.cli.suite_quick import outline_of

        outline = None if self.smoke or self.data else outline_of(self.suite)
        if outline is None:
            return None
        folder = self.folder(outline)
        # Only where the folder can be looked for: what is wrong with it, the store says.
        can_look = folder.parent.is_dir() and os.access(folder.parent, os.X_OK) and len(folder.name) <= _SHORT
        return outline if can_look and not os.path.lexists(folder) else None

    @property
    def is_built_in(self) -> bool:
        """Whether it came with anchorlab."""
        from anchorlab.suites.source import builtin_suites

        return self.suite in builtin_suites()

    def command(self, name: str) -> str:
        """The command of this name about the same suite."""
        out = () if self.out is None else ("--out", self.out)
        data = (word for place in self.data or () for word in ("--data", place))
        words = (self.suite, *out, *(["--smoke"] if self.smoke else []), *data)
        return command_of("anchorlab", "suite", name, *words, otherwise=f"anchorlab suite {name} with the same options")

    def folder(self, suite: Suite | Outline) -> Path:
        """Where it lies."""
        return Path(f"anchorlab-{suite.name}") if self.out is None else self.out


#: Most characters of a folder's name that every file system takes.
_SHORT = 100

_NOT_TIMED = "time left: --timing measures it"

#: Most mistakes of a file that are named; a terminal has 24 lines.
_NAMED = 15


def _needs_no_data(outline: Outline) -> bool:
    """Whether each task has the anchors, and the targets: the first label, which is there always.

    Only a task's data tell of more anchors and other labels.
    """
    return outline.has_anchors and all(trigger.get("target") in (None, 0) for trigger in outline.triggers)


def _all_said(error: SuiteMistakes) -> AnchorlabError:
    """Names all mistakes of a suite file, one a line; the refusal that ends the command is the last word."""
    if len(error.mistakes) == 1:
        return error
    for sentence in error.mistakes[:_NAMED]:
        say(shortened(sentence, 400), err=True)
    count = len(error.mistakes)
    named = "named above" if count <= _NAMED else f"the first {_NAMED} named above"
    return AnchorlabError(f"the suite has {count} mistakes, {named}: correct them, and check it again")


def run(
    *,
    chosen: SuiteOptions,
    execution: ExecutionOptions,
    allow_programs: Annotated[
        bool, typer.Option("--allow-programs", help="Let the suite start the programs that its scanners are.")
    ] = False,
) -> Answer:
    """Run what is not done yet of a suite, and write its report."""
    suite = chosen.load()
    again = chosen.command("run") + " --allow-programs" * allow_programs
    return run_and_report(suite, chosen.folder(suite), execution, again, programs=allow_programs)


def check(
    *,
    chosen: SuiteOptions,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that the time of --timing is for; as many as run takes if left out."),
    ] = None,
    timing: Annotated[
        bool, typer.Option("--timing/--no-timing", help="Time a few steps, to say how long the rest takes.")
    ] = False,
) -> Answer:
    """Check a suite: what it means, what is done already, and with --timing how long the rest takes."""
    outline = None if timing else chosen.outline()
    if outline is not None and (chosen.is_built_in or _needs_no_data(outline)):
        references = {"reference": [False] * outline.models}
        counts = _counts(outline, references, outline.most_runs_that_choose, outline.undecided)
        return _checked(chosen, outline, [*counts, _NOT_TIMED])

    from anchorlab.suites.own_data import check_data
    from anchorlab.suites.plan import make_plan
    from anchorlab.suites.repeated import refuse_repeated
    from anchorlab.suites.store import Store

    suite = chosen.load()
    store = Store(chosen.folder(suite))
    refuse_repeated(suite)
    check_data(suite, store)
    say_own_data(suite)
    planned = make_plan(suite, store)
    left = _time_left(suite, planned, store, workers) if timing else [_NOT_TIMED]
    return _checked(chosen, suite, [*_state(suite, planned, store), *left])


def _checked(chosen: SuiteOptions, suite: Suite | Outline, state: list[str]) -> Answer:
    lines = [f"  {line}" for line in (*_meaning(suite), *state)]
    return Answer((f"{suite.name}: {suite.title}", *lines), next=chosen.command("run"))


def show_built_in() -> Answer:
    """List the built-in suites."""
    from anchorlab.cli.catalogue import suites

    found = suites()
    lines = tuple(f"{name}: {title}" for name, title in found.items())
    return Answer(lines, values={"suites": found}, data=True)


def show(*, suite: SuiteName) -> None:
    """Print a suite file, for you to copy and change."""
    from anchorlab.statistics.escaping import visible
    from anchorlab.suites.schema import with_schema
    from anchorlab.suites.source import suite_text

    typer.echo(visible(with_schema(suite_text(suite)[0])), nl=False)


def schema() -> None:
    """Print the JSON schema of suite files, for editors."""
    from anchorlab.suites.schema import schema as schema_of_suites

    typer.echo(schema_of_suites(), nl=False)


add_command(app, "list", show_built_in)
add_command(app, "show", show)
add_command(app, "schema", schema)
add_command(app, "check", check, computes=True)
add_command(app, "run", run, computes=True)


def _meaning(suite: Suite | Outline) -> list[str]:
    from anchorlab.statistics.counted import several

    targets = ", ".join(f"{target:g}" for target in suite.target_asr)
    counts = ", ".join(str(count) for count in suite.defender)
    with_them = f"with {counts} of the defender's examples"
    defences = [
        f"{several(len(labels), what)} ({', '.join(labels)}) {with_them}"
        for what, labels in (("repair", suite.repairs), ("detector", suite.detectors))
        if labels
    ]
    return [
        f"{several(len(suite.tasks), 'task')} ({', '.join(f'{t.name} with {t.architecture}' for t in suite.tasks)})"
        f" x {several(len(suite.references), 'reference')} x {several(len(suite.triggers), 'trigger')}",
        f"{several(len(suite.methods), 'method')} ({', '.join(suite.methods)}) x "
        f"{several(len(suite.anchors), 'number')} of anchors ({', '.join(str(n) for n in suite.anchors)}) x "
        f"{several(len(suite.seeds), 'seed')}, at a target ASR of {targets}",
        *defences,
    ]


def _state(suite: Suite, planned: Plan, store: Store) -> Iterator[str]:
    """What is done and what is left, in counts."""
    from anchorlab.suites.expected import runs_to_choose

    finished: dict[str, list[bool]] = {}
    for stage, job in planned.jobs():
        finished.setdefault(stage, []).append(planned.finished(job, store))
    most = len(finished.get("selection", [])) + runs_to_choose(suite, planned)
    yield from _counts(suite, finished, most, planned.undecided)
    if suite.has_evaluations:
        later = planned.evaluations.waiting + planned.evaluations.expected
        yield f"repairs and detections of models that are not there yet: up to {later}"


def _counts(
    suite: Suite | Outline, finished: Mapping[str, list[bool]], most_choosing: int, undecided: int
) -> Iterator[str]:
    """How many jobs each stage has, and whether each is done; of runs that choose, how many there are at most."""
    for stage, title in (
        ("reference", "references to train"),
        ("selection", "runs that choose strengths"),
        ("reported", "reported runs, known so far"),
        *([("deployed", "measurements of what is deployed, of models that are there so far")] if suite.deploy else []),
        *([("defended", "repairs, of models that are there so far")] if suite.repairs else []),
        *([("detected", "detections, of models that are there so far")] if suite.detectors else []),
    ):
        done = finished.get(stage, [])
        count = f"{len(done)}"
        if stage == "selection" and most_choosing > len(done):
            count = f"at most {most_choosing}"
        yield f"{title}: {count}, of which {sum(done)} are done"
    yield f"reported runs that wait for a choice or a reference: up to {undecided}"


def _time_left(suite: Suite, planned: Plan, store: Store, workers: int | None) -> Iterator[str]:
    from anchorlab.progress import duration
    from anchorlab.statistics.counted import several
    from anchorlab.suites.estimate import estimate
    from anchorlab.suites.executors import LocalProcesses
    from anchorlab.suites.expected import runs_to_choose

    left = estimate(suite, planned, store)
    with LocalProcesses(workers, cpus=cpus_of(suite), gpus=suite.resources.gpus) as executor:
        processes = executor.slots
    bound = "at most " if runs_to_choose(suite, planned) else ""
    by = several(processes, "process", "processes")
    yield f"time left: {bound}about {duration(left.seconds / processes)} with {by} here"
    for task, reason in left.untimed.items():
        yield f"{task} is not in that time, because it could not be timed: {reason}"
