"""A gate on measurements: bounds that break it, for example in the tests of a new version of a model."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anchorlab.errors import AnchorlabError, unknown
from anchorlab.metrics import METRICS

if TYPE_CHECKING:
    from anchorlab.consistency.compare import Comparison

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}

#: Names that are a bound by themselves, each with the measurement that it holds at 0.
ALONE = {"unusual": "unusual", "kl": "kl_infinite", "kl_reverse": "kl_reverse_infinite"}

#: The least and the greatest value of a measurement.
Range = tuple[float, float]

_FORM = re.compile(r"\s*(?P<name>\w+)(?:\.(?P<end>\w+))?\s*(?P<sign>>=|<=|>|<)\s*(?P<bound>\S+)\s*")


@dataclass(frozen=True)
class Measured:
    """What a gate judges.

    Attributes:
        values: measurement to its value; None if it is undefined.
        intervals: measurement to its 95% interval, of those that have one.
        undefined: measurement to a sentence that says why it is undefined.
    """

    values: Mapping[str, float | None]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    undefined: Mapping[str, str] = field(default_factory=dict)


def measured_by(comparison: Comparison) -> Measured:
    """The measurements of a comparison."""
    values = {name: getattr(comparison, name, None) for name in METRICS}
    return Measured(values, comparison.intervals, comparison.undefined)


@dataclass(frozen=True)
class Judgement:
    """What a bound says of some measurements.

    Attributes:
        is_broken: whether they meet the condition.
        sentence: what was found.
    """

    is_broken: bool
    sentence: str


@dataclass(frozen=True)
class Bound:
    """A condition that no measurement may meet, such as ``kl.upper > 0.01``.

    Attributes:
        name: of a measurement.
        end: end of its 95% interval that is meant; None for the value itself.
        sign: ``>``, ``>=``, ``<`` or ``<=``.
        bound: the number.
    """

    name: str
    end: str | None
    sign: str
    bound: float

    def __str__(self) -> str:
        return f"{self.what} {self.sign} {self.bound:g}"

    @property
    def what(self) -> str:
        """The measurement, or the end of its interval, that is meant, as in ``kl.upper``."""
        return self.name if self.end is None else f"{self.name}.{self.end}"

    def judge(self, measured: Measured) -> Judgement:
        """Whether the measurements meet the condition.

        Raises:
            AnchorlabError: if the measurement is undefined or has no interval, so that nothing can be said.
        """
        value = measured.values.get(self.name)
        if value is None:
            why = measured.undefined.get(self.name, "it could not be measured")
            raise AnchorlabError(f"the gate '{self}' cannot be judged, because {self.name} is undefined: {why}")
        if self.end is not None:
            if self.name not in measured.intervals:
                raise AnchorlabError(
                    f"the gate '{self}' cannot be judged, because {self.name} has no interval: "
                    f"give a bound on {self.name}"
                )
            value = measured.intervals[self.name][0 if self.end == "lower" else 1]
        is_broken = _COMPARE[self.sign](value, self.bound)
        how = "is broken" if is_broken else "holds"
        return Judgement(is_broken, f"the gate '{self}' {how}: {self.what} is {value:.6g}")

    def broken(self, comparison: Comparison) -> str | None:
        """A sentence on how a comparison meets the condition; None if it does not. Raises as ``judge`` does."""
        judgement = self.judge(measured_by(comparison))
        return judgement.sentence if judgement.is_broken else None


def parse_bound(text: str, known: Iterable[str] = METRICS, ranges: Mapping[str, Range] | None = None) -> Bound:
    """A bound from text: a measurement, ``.lower`` or ``.upper`` where its interval is meant, a sign and a number.

    Some names are a bound by themselves: ``unusual`` of an audit; and of language models ``kl`` and ``kl_reverse``,
    which are broken where any token's is infinite.

    Args:
        text: the condition.
        known: names of the measurements; those of comparisons if left out.
        ranges: their least and greatest values, of those that are no metrics of comparisons, p-values or ``unusual``.

    Raises:
        AnchorlabError: for another form, an unknown measurement, what is no number, a bound that nothing can break, or
            one out of reach that everything breaks.
    """
    names = list(known)
    meant = ALONE.get(text.strip())
    match = _FORM.fullmatch(f"{meant} > 0" if meant in names else text)
    if match is None:
        raise AnchorlabError(
            f"the gate '{text}' is not of the form NAME > NUMBER, with >, >=, < or <=, as in 'churn > 0.02' or "
            "'kl.upper > 0.01'"
        )
    name, end = match["name"], match["end"]
    if name not in names:
        raise unknown("measurement", name, names)
    if end not in (None, "lower", "upper"):
        raise unknown("end of an interval", end, ("lower", "upper"))
    try:
        bound = float(match["bound"])
    except ValueError as error:
        raise AnchorlabError(f"the gate '{text}' compares with '{match['bound']}', which is no number") from error
    if bound != bound:
        raise AnchorlabError(f"the gate '{text}' compares with no number, so it would never break: give a number")
    found = Bound(name, end, match["sign"], bound)
    _check_reachable(text, found, (ranges or {}).get(name) or _range(name))
    return found


def _range(name: str) -> Range:
    """The least and the greatest value of a metric, of what is yes or no, or of a p-value; else all numbers."""
    if name in METRICS:
        return METRICS[name].range
    return (0.0, 1.0) if name in ("unusual", "p") or name.startswith("p_") else (-math.inf, math.inf)


def _check_reachable(text: str, found: Bound, ends: Range) -> None:
    """Raises AnchorlabError for a bound that no value breaks, or that lies beyond all values, so that each breaks it.

    One at the end of the range that every value breaks is let through: it never passes by mistake.
    """
    breaks = [_COMPARE[found.sign](value, found.bound) for value in ends]
    outside = not ends[0] <= found.bound <= ends[1]
    if any(breaks) and not (all(breaks) and outside):
        return
    above = (found.sign in (">", ">=")) != all(breaks)
    edge = ends[1] if above else ends[0]
    what = "never above" if above else "never below"
    why = f"{found.bound:g} is beyond every number" if math.isinf(edge) else f"{found.name} is {what} {edge:g}"
    how = "always" if all(breaks) else "never"
    raise AnchorlabError(f"the gate '{text}' would {how} break, because {why}: give another bound")
