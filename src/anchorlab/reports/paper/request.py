"""What a paper wants of a suite: which metrics, which methods, and how wide a figure is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from anchorlab.errors import AnchorlabError, quoted, unknown
from anchorlab.metrics import METRICS, Metric
from anchorlab.suites.results import SuiteResults

#: The columns of the table, and the panels of the figure, if nothing else is wanted.
DEFAULT_COLUMNS = ("accuracy", "asr", "kl", "churn")

#: Width of a column in the two-column styles of most conferences.
DEFAULT_WIDTH = "3.3in"

#: Units to inches; a point is TeX's.
_UNITS = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72.27}

#: The least and the greatest width of a figure, in inches.
_LIMITS = (2.0, 10.0)


@dataclass(frozen=True)
class Request:
    """What a paper wants.

    Attributes:
        columns: metrics, in the order of the table.
        methods: labels of methods and controls; None for all.
        width: of a figure, in inches.
    """

    columns: tuple[Metric, ...]
    methods: tuple[str, ...] | None
    width: float

    def shows(self, label: str) -> bool:
        """Whether a method or control is wanted."""
        return self.methods is None or label in self.methods


def read_request(
    results: SuiteResults, columns: Sequence[str] | None, methods: Sequence[str] | None, width: str
) -> Request:
    """Checks what is asked for.

    Args:
        results: of the suite.
        columns: names of metrics; None for ``DEFAULT_COLUMNS``.
        methods: labels of methods and controls of the suite; None for all.
        width: of a figure, with its unit, as in ``3.3in``.

    Raises:
        AnchorlabError: for an unknown metric, method or unit, or an impossible width.
    """
    names = dict.fromkeys(DEFAULT_COLUMNS if columns is None else columns)
    labels = None if methods is None else tuple(dict.fromkeys(methods))
    for what, given in (("metric", names), ("method", labels)):
        if given is not None and not given:
            raise AnchorlabError(f"there is no {what} to show: name one or more, with commas between them")
    frames = (frame for frame in (results.results, results.choices) if "method" in frame)
    present = [label for frame in frames for label in frame["method"].astype(str)]
    for label in labels or ():
        if label not in present:
            raise unknown("method of this suite", label, dict.fromkeys(present))
    return Request(tuple(METRICS[name] for name in names), labels, _inches(width))


def _inches(text: str) -> float:
    found = re.fullmatch(r"\s*(\d*\.?\d+)\s*(in|cm|mm|pt)\s*", text)
    low, high = _LIMITS
    if found is None or not low <= float(found[1]) * _UNITS[found[2]] <= high:
        raise AnchorlabError(
            f"{quoted(text)} is no width of a figure: give a number and in, cm, mm or pt, as in {DEFAULT_WIDTH}, from "
            f"{low:g}in to {high:g}in"
        )
    return float(found[1]) * _UNITS[found[2]]
