"""Searches a method's strength: by bisection on a geometric grid, between a strength that reaches the target and one
that does not.

Positions on the grid are steps: 0 is where the search begins, and each step up holds the clean behaviour harder, so
that KL and ASR fall. Neither falls quite evenly, so both neighbours of the answer are tried too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

#: From one strength of the grid to the next.
FACTOR = 1.5

#: Tries that a search has beyond its number, for both neighbours of the answer alone.
FURTHER = 2

#: Most steps from the first strength, to either side: a factor of 190,000.
REACH = 30


@dataclass(frozen=True)
class Grid:
    """The strengths that a search may try.

    Attributes:
        start: the strength at step 0.
        larger_is_stricter: whether a larger strength holds the clean behaviour harder.
        whole: whether strengths are whole numbers.
        possible: whether the method takes a strength.
    """

    start: float
    larger_is_stricter: bool
    whole: bool
    possible: Callable[[float], bool]

    def strength(self, step: int) -> float:
        """The strength at a step, with three digits, so that tables and identities stay readable."""
        exact = self.start * FACTOR ** (step if self.larger_is_stricter else -step)
        strength = exact if step == 0 else float(f"{exact:.3g}")
        return float(round(strength)) if self.whole else strength

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """The weakest and the strictest step that the method takes."""
        return -self._reach(-1), self._reach(1)

    def _reach(self, direction: int) -> int:
        steps = (step for step in range(1, REACH + 1) if not self._is_new(direction * step))
        return next(steps, REACH + 1) - 1

    def _is_new(self, step: int) -> bool:
        """Whether the strength is possible, and another than the one a step nearer to the start."""
        nearer = step - 1 if step > 0 else step + 1
        return self.strength(step) != self.strength(nearer) and self.possible(self.strength(step))


def next_steps(outcomes: Mapping[int, float | None], bounds: tuple[int, int]) -> list[int]:
    """The steps to try next; empty when the search is over.

    First outwards from 0, to 2, 6, 14 and 30 steps, until one step reaches the target and a stricter one does not; then
    by bisection between the two; then both neighbours of the best.

    Args:
        outcomes: each step that was tried to its KL, in nats; None where it does not reach the target.
        bounds: the weakest and the strictest step that there is.
    """
    weakest, strictest = bounds
    if not outcomes:
        return [0]
    reaching = _reaching(outcomes)
    if not reaching:
        lowest = min(outcomes)
        return [] if lowest == weakest else [max(weakest, 2 * lowest - 2)]
    edge = max(reaching)
    beyond = min((step for step in outcomes if step > edge), default=None)
    if beyond is None and edge < strictest:
        return [min(strictest, 2 * edge + 2)]
    if beyond is not None and beyond > edge + 1:
        return [(edge + beyond) // 2]
    return neighbours(outcomes, bounds)


def neighbours(outcomes: Mapping[int, float | None], bounds: tuple[int, int]) -> list[int]:
    """The neighbours of the best step so far that are yet to be tried; none where no step reaches the target."""
    reaching, (weakest, strictest) = _reaching(outcomes), bounds
    if not reaching:
        return []
    answer = min(reaching, key=lambda step: (reaching[step], -step))
    return [step for step in (answer - 1, answer + 1) if weakest <= step <= strictest and step not in outcomes]


def _reaching(outcomes: Mapping[int, float | None]) -> dict[int, float]:
    return {step: kl for step, kl in outcomes.items() if kl is not None}
