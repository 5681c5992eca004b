"""Which mean is best beyond doubt: the cell that a table sets in bold."""

from __future__ import annotations

from collections.abc import Sequence

from anchorlab.metrics import Metric
from anchorlab.reports.suite.paired import pair
from anchorlab.reports.suite.summary import Entry
from anchorlab.statistics.numbers import defined
from anchorlab.statistics.references import ENOUGH_REFERENCES
from anchorlab.suites.success import TOLERANCE

#: What the caption says of bold cells.
RULE = (
    "Bold: the best mean, where the paired runs back it against each other method, by the 95% interval of the "
    f"difference (Student's t over references) or, with fewer than {ENOUGH_REFERENCES} references, in every pair. "
    f"Controls do not compete, nor do methods of which a run is more than {TOLERANCE:g} below the target ASR."
)


def backed_best(entries: Sequence[Entry], metric: Metric, target_asr: float) -> str | None:
    """The label of the method whose mean is better than each other method's, in paired runs; None if there is none.

    Args:
        entries: the methods and controls that are shown together.
        metric: what is compared.
        target_asr: the ASR that the methods are compared at.
    """
    competing = [entry for entry in entries if entry.role == "method" and _works(entry, target_asr)]
    values = {entry.label: entry.estimate(metric.name).value for entry in competing}
    if not metric.better or len(values) < 2 or not all(defined(value) for value in values.values()):
        return None
    sign = 1 if metric.better == "lower" else -1
    best = min(competing, key=lambda entry: sign * (values[entry.label] or 0.0))
    for other in competing:
        if other is best:
            continue
        paired = pair(best.runs, other.runs, metric.name)
        if paired is None or paired.side != -sign:
            return None
    return best.label


def _works(entry: Entry, target_asr: float) -> bool:
    rates = entry.values("asr")
    return bool(rates) and not len(entry.failed) and min(rates) >= target_asr - TOLERANCE
