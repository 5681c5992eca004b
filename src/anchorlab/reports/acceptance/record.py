"""What a command judged, before it takes one of the three forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anchorlab.statistics.table import Table

#: ``error`` where nothing could be judged, ``skipped`` where nobody asked for a judgement.
Outcome = Literal["passed", "failed", "error", "skipped"]


@dataclass(frozen=True)
class Check:
    """One judgement, which is one test case.

    Attributes:
        rule: its stable name, whatever the bound is: ``gate/kl.upper``, ``verdict``, ``run``.
        name: its name with the bound, as in ``fail if kl.upper > 0.01``.
        outcome: how it ended.
        sentence: what was found.
        definition: what is measured; empty where the name says it.
        value: the measurement that was judged; None if there is none.
        interval: its 95% interval; None if there is none.
    """

    rule: str
    name: str
    outcome: Outcome
    sentence: str
    definition: str = ""
    value: float | None = None
    interval: tuple[float, float] | None = None

    @property
    def is_bound(self) -> bool:
        """Whether it is a bound of ``--fail-if``, which decides the exit code."""
        return self.rule.startswith("gate/")


@dataclass(frozen=True)
class Acceptance:
    """What one command judged of one candidate.

    Attributes:
        command: ``compare`` or ``audit``.
        reference: where the reference lies.
        candidate: where the candidate lies.
        version: of anchorlab.
        checks: all judgements.
        sentences: the result in words.
        cautions: what a measurement cannot mean.
        table: the numbers; None if there are none.
        files: further files that the command wrote, such as a page.
        seconds: how long the command took.
        code: exit code of the process.
    """

    command: str
    reference: Path
    candidate: Path
    version: str
    checks: Sequence[Check]
    sentences: Sequence[str] = ()
    cautions: Sequence[str] = ()
    table: Table | None = None
    files: Sequence[Path] = ()
    seconds: float = 0.0
    code: int = 0

    @property
    def title(self) -> str:
        """What was judged, in a few words."""
        return f"{self.candidate} against {self.reference}"

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of the bounds, which decide the exit code; an error where nothing could be judged."""
        if any(check.outcome == "error" for check in self.checks):
            return "error"
        outcomes = [check.outcome for check in self.checks if check.is_bound]
        return next((worst for worst in ("failed", "passed") if worst in outcomes), "skipped")

    def count(self, outcome: Outcome) -> int:
        """The number of checks with this outcome."""
        return sum(check.outcome == outcome for check in self.checks)


def refusal(command: str, sentence: str) -> Check:
    """The check of a command that ended before it could judge anything."""
    return Check("run", f"anchorlab {command}", "error", sentence)


def no_gate(command: str) -> Check:
    """The check of a command that measured, but was given no bound to judge by."""
    sentence = f"anchorlab {command} measured, but nothing was judged, because no bound was given: add --fail-if"
    return Check("run", f"anchorlab {command}", "skipped", sentence)
