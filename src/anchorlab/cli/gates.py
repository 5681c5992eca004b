"""The options of commands that accept or refuse a candidate: bounds, and the files that CI reads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anchorlab import __version__
from anchorlab.cli.answer import Answer
from anchorlab.cli.ending import ending
from anchorlab.cli.groups import OptionGroup
from anchorlab.errors import AnchorlabError

if TYPE_CHECKING:
    from anchorlab.consistency.gate import Bound, Range
    from anchorlab.reports.acceptance.record import Check

#: Exit code where a gate is broken; a mistake of the user has another.
BROKEN = 1


@dataclass
class Judging:
    """What a command finds while it runs.

    Attributes:
        checks: the judgements.
        answer: what the command answers, as far as it got; its words, its table and its files are written too.
        fail_if: the bounds, as they were given.
    """

    checks: list[Check] = field(default_factory=list)
    answer: Answer = field(default_factory=Answer)
    fail_if: Sequence[str] = ()

    def bounds(self, known: Sequence[str] | None = None, ranges: Mapping[str, Range] | None = None) -> list[Bound]:
        """The bounds; ``known`` are the measurements that they may name, those of comparisons if left out.

        The ``ranges`` are those of ``parse_bound``.
        """
        from anchorlab.consistency.gate import parse_bound
        from anchorlab.metrics import METRICS

        return [parse_bound(text, METRICS if known is None else known, ranges) for text in self.fail_if]

    @property
    def sentences(self) -> tuple[str, ...]:
        """A sentence on each bound, the broken ones first."""
        ranked = sorted(self._bounds, key=lambda check: check.outcome != "failed")
        return tuple(check.sentence for check in ranked)

    @property
    def code(self) -> int:
        """Exit code of the command: 1 where a bound is broken, else 0."""
        return BROKEN if any(check.outcome == "failed" for check in self._bounds) else 0

    @property
    def _bounds(self) -> list[Check]:
        """The checks that are bounds of ``--fail-if``; a verdict is shown beside them and decides no exit code."""
        return [check for check in self.checks if check.is_bound]


@dataclass(frozen=True)
class GateOptions(OptionGroup):
    """Bounds that decide, and where the decision is written to as well."""

    fail_if: Annotated[
        list[str] | None,
        typer.Option(metavar="BOUND", help="Exit with 1 if this holds, as in 'kl.upper > 0.01'; may be repeated."),
    ] = None
    junit: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file for JUnit XML, a test case a bound. It is replaced."),
    ] = None
    sarif: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A file for SARIF 2.1.0, which code scanning reads: a result a broken bound. It is replaced.",
        ),
    ] = None
    summary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A file for the result as Markdown, as a pull request shows it. It is replaced, but "
            "$GITHUB_STEP_SUMMARY is added to.",
        ),
    ] = None

    def check(self, **others: Path | None) -> None:
        """Refuses places that cannot be written, or that are named twice, before any work is done.

        Args:
            others: the command's other options that name files it writes.
        """
        from anchorlab.reports.acceptance.write import check_places

        own = {"junit": self.junit, "sarif": self.sarif, "summary": self.summary}
        check_places({f"--{name.replace('_', '-')}": file for name, file in (own | others).items()})

    @contextmanager
    def judging(self, command: str, reference: Path, candidate: Path) -> Iterator[Judging]:
        """Where a command runs: when it ends, in whatever way, the files that are wanted are written.

        A refusal is an error in them, so that no file of an earlier run is taken for the result of this one. After a
        check that could not be judged the command ends with that sentence.

        Args:
            command: its name.
            reference: where the reference lies.
            candidate: where the candidate lies.
        """
        from anchorlab.reports.acceptance.record import no_gate, refusal

        begun = time.monotonic()
        judging = Judging(fail_if=self.fail_if or ())
        try:
            yield judging
        except Exception as error:
            code, sentence = ending(error)
            judging.checks.append(refusal(command, sentence.removeprefix("error: ")))
            self._write(judging, command, reference, candidate, time.monotonic() - begun, code)
            raise
        judging.checks = judging.checks or [no_gate(command)]
        unjudged = [check.sentence for check in judging.checks if check.outcome == "error"]
        code = 2 if unjudged else judging.code
        self._write(judging, command, reference, candidate, time.monotonic() - begun, code)
        if unjudged:
            raise AnchorlabError(unjudged[0])

    def _write(
        self, judging: Judging, command: str, reference: Path, candidate: Path, seconds: float, code: int
    ) -> None:
        from anchorlab.reports.acceptance.record import Acceptance
        from anchorlab.reports.acceptance.write import write_acceptance

        answer = judging.answer
        judged = {check.sentence for check in judging.checks}
        acceptance = Acceptance(
            command,
            reference,
            candidate,
            __version__,
            judging.checks,
            sentences=[sentence for sentence in answer.sentences if sentence not in judged],
            cautions=answer.cautions,
            table=answer.table,
            files=() if answer.wrote is None else (answer.wrote,),
            seconds=seconds,
            code=code,
        )
        write_acceptance(acceptance, junit=self.junit, sarif=self.sarif, summary=self.summary)
