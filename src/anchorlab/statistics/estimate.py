"""A value with its interval, and its one text form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

#: The level of every interval.
LEVEL = 0.95

#: How values are averaged, see ``anchorlab.statistics.references``.
Averaging: TypeAlias = Literal["geometric", "rate", "plain"]

#: Where units differ by more than this, the interval of their arithmetic mean is too narrow.
SKEWED = 0.3

#: Where units differ by so much at most: the least coverage of such intervals in simulations, rounded down
#: (experiments/coverage), for rates and for other arithmetic means. The last is of a spread of 3.
LEAST_COVERAGE = {
    "rate": {0.5: 0.91, 1.0: 0.82, 1.5: 0.74, 2.0: 0.67, math.inf: 0.63},
    "plain": {0.5: 0.90, 1.0: 0.81, 1.5: 0.67, 2.0: 0.53, math.inf: 0.25},
}

#: What stands in place of a value that is undefined.
UNDEFINED = "undefined"


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% interval; each part is None where it is undefined.

    ``f"{estimate:.4f}"`` is ``0.9120 [0.8934, 0.9276]``; ``text`` takes any other way to write a number. Where
    there are two units, and so no interval, it is ``0.9058 (0.9084; 0.9031)``.

    Attributes:
        value: the value, such as a mean over runs.
        lower: lower end of the interval.
        upper: upper end of the interval.
        units: how many independent units stand behind it; None if that is not known.
        each: the units' own values, where they are too few for an interval.
        averaging: how the units were averaged, where that is known.
        spread: of an arithmetic mean, how much its units differ: the standard deviation of their logarithms, or of a
            rate's logits.
        over_instances: whether the interval speaks of further test instances too, not of these alone.
    """

    value: float | None
    lower: float | None = None
    upper: float | None = None
    units: int | None = field(default=None, compare=False)
    each: tuple[float, ...] = field(default=(), compare=False)
    averaging: Averaging | None = field(default=None, compare=False)
    over_instances: bool = field(default=False, compare=False)
    spread: float = field(default=0.0, compare=False)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Both ends of the interval; None if either is undefined."""
        return None if self.lower is None or self.upper is None else (self.lower, self.upper)

    @property
    def is_skewed(self) -> bool:
        """Whether units differ so much that the interval of their arithmetic mean is too narrow."""
        return self.spread > SKEWED

    @property
    def least_coverage(self) -> float | None:
        """The least share of simulations in which intervals as skewed as this one held the mean; None if it is not."""
        if not self.is_skewed:
            return None
        by_spread = LEAST_COVERAGE["rate" if self.averaging == "rate" else "plain"]
        return next(least for spread, least in by_spread.items() if self.spread <= spread)

    def interval(self, write: Callable[[float], str]) -> str:
        """The interval in brackets, both ends as ``write`` writes them; without one, the values of two units."""
        if self.value is None:
            return ""
        if self.bounds is None:
            return f"({'; '.join(map(write, self.each))})" if len(self.each) > 1 else ""
        lower, upper = self.bounds
        return f"[{write(lower)}, {write(upper)}]"

    def text(self, write: Callable[[float], str], write_ends: Callable[[float], str] | None = None) -> str:
        """The value and the interval after it.

        Args:
            write: writes a number.
            write_ends: writes the ends of the interval; None for ``write``.
        """
        if self.value is None:
            return UNDEFINED
        return f"{write(self.value)} {self.interval(write_ends or write)}".rstrip()

    def __format__(self, spec: str) -> str:
        return self.text(lambda number: format(number, spec)) if spec else str(self)
