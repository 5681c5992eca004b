"""A gate on a comparison: bounds that break it, for example in the tests of a new version of a model."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from anchorlab.consistency.compare import Comparison
from anchorlab.errors import AnchorlabError, unknown
from anchorlab.metrics import METRICS

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}

_FORM = re.compile(r"\s*(?P<name>\w+)(?:\.(?P<end>\w+))?\s*(?P<sign>>=|<=|>|<)\s*(?P<bound>\S+)\s*")


@dataclass(frozen=True)
class Bound:
    """A condition that no comparison may meet, such as ``kl.upper > 0.01``.

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
        return f"{self._what} {self.sign} {self.bound:g}"

    @property
    def _what(self) -> str:
        return self.name if self.end is None else f"{self.name}.{self.end}"

    def broken(self, comparison: Comparison) -> str | None:
        """A sentence on how the comparison meets the condition; None if it does not.

        Raises:
            AnchorlabError: if the measurement is undefined or has no interval, so that nothing can be said.
        """
        value: float | None = getattr(comparison, self.name, None)
        if value is None:
            why = comparison.undefined.get(self.name, "it could not be measured")
            raise AnchorlabError(f"the gate '{self}' cannot be judged, because {self.name} is undefined: {why}")
        if self.end is not None:
            if self.name not in comparison.intervals:
                raise AnchorlabError(
                    f"the gate '{self}' cannot be judged, because {self.name} has no interval: "
                    f"give a bound on {self.name}"
                )
            value = comparison.intervals[self.name][0 if self.end == "lower" else 1]
        if not _COMPARE[self.sign](value, self.bound):
            return None
        return f"the gate '{self}' is broken: {self._what} is {value:.6g}"


def parse_bound(text: str) -> Bound:
    """A bound from text: a measurement, ``.lower`` or ``.upper`` where its interval is meant, a sign and a number.

    Raises:
        AnchorlabError: for another form, an unknown measurement, or what is no number.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise AnchorlabError(
            f"the gate '{text}' is not of the form NAME > NUMBER, with >, >=, < or <=, as in 'churn > 0.02' or "
            "'kl.upper > 0.01'"
        )
    name, end = match["name"], match["end"]
    if name not in METRICS:
        raise unknown("measurement", name, METRICS)
    if end not in (None, "lower", "upper"):
        raise unknown("end of an interval", end, ("lower", "upper"))
    try:
        bound = float(match["bound"])
    except ValueError as error:
        raise AnchorlabError(f"the gate '{text}' compares with '{match['bound']}', which is no number") from error
    if bound != bound:
        raise AnchorlabError(f"the gate '{text}' compares with no number, so it would never break: give a number")
    return Bound(name, end, match["sign"], bound)
