"""Where the marks of the page's small pictures lie, in percent of their width and height."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from anchorlab.reports.audit.record import AccessRecord, PowerRecord

#: The values of a picture span a factor of so much before its axis is logarithmic.
_WIDE = 20.0


@dataclass(frozen=True)
class Tick:
    """A mark of an axis, at a place in percent."""

    at: float
    text: str


@dataclass(frozen=True)
class Strip:
    """The benign updates as dots, a row for each setting, and the candidate as a line. Places are in percent.

    Attributes:
        rows: the name of each setting, and the places of its updates.
        candidate: the place of the candidate.
        interval: the ends of its interval; None without one.
        ticks: of the axis.
        words: the picture in words.
    """

    rows: Sequence[tuple[str, Sequence[float]]]
    candidate: float
    interval: tuple[float, float] | None
    ticks: Sequence[Tick]
    words: str


def strip_of(access: AccessRecord) -> Strip:
    """The picture of one kind of access."""
    value, low, high = access.statistic
    bounds = None if low is None or high is None else (low, high)
    return strip(access.access, value, bounds, access.null, access.null_settings)


def strip(
    title: str, value: float, bounds: tuple[float, float] | None, null: Sequence[float], settings: Sequence[str]
) -> Strip:
    """A candidate among its benign updates.

    Args:
        title: what is measured.
        value: of the candidate.
        bounds: of its interval; None without one. One that has no finite end is not drawn.
        null: the values of the updates.
        settings: the setting of each.
    """
    if bounds is not None and not all(map(math.isfinite, bounds)):
        bounds = None
    axis = _Axis([value, *null, *(bounds or ())])
    names = list(dict.fromkeys(settings))
    rows = [(name, [axis(one) for one, of in zip(null, settings, strict=True) if of == name]) for name in names]
    lower = sum(one < value for one in null)
    words = (
        f"{title}: the candidate at {value:.3g}, above {lower} of the {len(null)} benign updates, which "
        f"lie from {min(null):.3g} to {max(null):.3g}"
    )
    interval = None if bounds is None else (axis(bounds[0]), axis(bounds[1]))
    return Strip(rows, axis(value), interval, axis.ticks(), words)


class _Axis:
    """From a value to its place: linear from zero, or logarithmic where values span a large factor."""

    def __init__(self, values: Sequence[float]) -> None:
        positive = [value for value in values if value > 0]
        self._log = len(positive) == len(values) and max(positive) / min(positive) > _WIDE
        if self._log:
            low, high = math.log10(min(positive)), math.log10(max(positive))
            room = 0.04 * (high - low)
            self._low, self._high = low - room, high + room
        else:
            self._low, self._high = 0.0, 1.05 * max([*positive, 1e-12])

    def __call__(self, value: float) -> float:
        at = math.log10(value) if self._log else value
        return round(100 * (at - self._low) / (self._high - self._low), 3)

    def ticks(self) -> list[Tick]:
        """A few round values."""
        if self._log:
            powers = range(math.floor(self._low), math.floor(self._high) + 1)
            steps = (1, 3) if len(powers) < 4 else (1,)
            values = [step * 10.0**power for power in powers for step in steps]
            values = [value for value in values if self._low <= math.log10(value) <= self._high]
        else:
            step = _round_step(self._high / 4)
            values = [step * number for number in range(int(self._high / step) + 1)]
        every = max(1, math.ceil(len(values) / 6))
        return [Tick(self(value), f"{value:.3g}") for value in values[::every]]


def _round_step(size: float) -> float:
    """The nearest step of 1, 2 or 5 times a power of ten that is not smaller."""
    power = 10.0 ** math.floor(math.log10(size))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= size * 0.999)


@dataclass(frozen=True)
class Curve:
    """The power by the number of queries, as pieces of a line ``(x1, y1, x2, y2)`` in percent; y grows downwards."""

    pieces: Sequence[tuple[float, float, float, float]]
    ticks: Sequence[Tick]


def curve_of(power: PowerRecord) -> Curve:
    """The power curve of one kind of access, over the logarithm of the number of queries."""
    longest = max(2, *power.queries)

    def at(queries: float) -> float:
        return round(100 * math.log(queries) / math.log(longest), 3)

    points = [
        (at(queries), round(100 * (1 - share), 3)) for queries, share in zip(power.queries, power.power, strict=True)
    ]
    ticks = [10**step for step in range(int(math.log10(longest)) + 1)]
    pieces = [(*first, *second) for first, second in pairwise(points)]
    return Curve(pieces, [Tick(at(queries), f"{queries:,}") for queries in ticks])
