"""How long the rest of a suite takes, from the measured times of jobs that have finished."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import mean
from typing import NamedTuple


class Kind(NamedTuple):
    """Jobs that take about the same time.

    Attributes:
        work: ``reference``, ``injection``, ``noise``, ``deployed``, ``defended`` or ``detected``.
        task: name of the task.
        label: of the method, repair or detector; empty for references.
    """

    work: str
    task: str
    label: str


#: Jobs of a kind that count, the latest, because what else a machine does changes.
_LATEST = 8


@dataclass
class Pace:
    """The times of finished jobs.

    Attributes:
        seconds: kind to the seconds of each job of it.
    """

    seconds: dict[Kind, list[float]] = field(default_factory=dict)

    def add(self, kind: Kind, seconds: float) -> None:
        """Notes the time of a job that has finished."""
        self.seconds.setdefault(kind, []).append(seconds)

    def expected(self, kind: Kind) -> float | None:
        """The likely seconds of a job: the mean of its kind, or of the kinds nearest to it; None if none is done."""
        nearest: tuple[Callable[[Kind], bool], ...] = (
            lambda other: other == kind,
            lambda other: other[:2] == kind[:2],
            lambda other: other.work == kind.work,
            lambda other: other.work != "noise",
        )
        for is_near in nearest:
            # A kind counts once, however often it has run.
            times = [mean(each[-_LATEST:]) for other, each in self.seconds.items() if is_near(other)]
            if times:
                return mean(times)
        return None

    def left(self, pending: Counter[Kind], running: Iterable[tuple[Kind, float]], slots: int) -> float | None:
        """Seconds until everything is done; None while no job has finished.

        Args:
            pending: number of jobs of each kind that have not begun, expected ones included.
            running: kind of each running job, and the seconds since it began.
            slots: jobs that run at a time.
        """
        if not self.seconds:
            return None
        waiting = sum(count * (self.expected(kind) or 0.0) for kind, count in pending.items())
        begun = [max((self.expected(kind) or 0.0) - seconds, 0.0) for kind, seconds in running]
        count = pending.total() + len(begun)
        return max((waiting + sum(begun)) / max(1, min(slots, count)), *begun, 0.0) if count else 0.0
