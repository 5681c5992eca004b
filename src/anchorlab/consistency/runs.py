"""What runs say together: means over references with intervals, differences between methods, tests.

A run is a reference with an injection seed. Runs on one reference are alike, so the reference is the unit: means,
intervals and tests come from the runs' own measurements, see ``anchorlab.statistics.references``. Per-instance tables
say how much of the variance the shared test instances carry, see ``anchorlab.statistics.two_way``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from anchorlab.consistency.influences import Influences
from anchorlab.metrics import METRICS
from anchorlab.statistics.arrays import Floats
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.references import ENOUGH_REFERENCES, contrasts_by_reference, p_values
from anchorlab.statistics.two_way import InstanceTally, InstanceVariance

if TYPE_CHECKING:
    import pandas as pd

#: Reads a run's influences by its identity, for the metrics that are averaged at least.
ReadInfluences = Callable[[str], Influences]


@dataclass(frozen=True)
class Difference:
    """How one method's runs differ from another's, paired by reference and seed.

    Attributes:
        metric: name of the measurement.
        estimate: mean over references of ``a - b``; if ``is_ratio``, the geometric mean of ``a / b``.
        is_ratio: whether it is a ratio.
        p: of the two-sided sign-flip test over references; None with fewer than 12, or if undefined.
        runs: number of pairs.
        p_holm: the same after Holm's correction, where the caller made one.
    """

    metric: str
    estimate: Estimate
    is_ratio: bool
    p: float | None
    runs: int
    p_holm: float | None = None


def estimates_of(runs: pd.DataFrame, read: ReadInfluences | None = None) -> dict[str, Estimate]:
    """The mean over references of each measurement, by its name; without a value where any run's is undefined.

    Args:
        runs: a row each, with ``reference_seed``, ``identity``, and a column a measurement.
        read: reads a run's influences; None for intervals of these test instances alone.
    """
    references = runs["reference_seed"].tolist()
    each = {name: _column(runs, name) for name in METRICS}
    variances: dict[str, InstanceVariance] = {}
    if read is not None and len(set(references)) >= ENOUGH_REFERENCES:
        scales = {name: _scale(name, values) for name, values in each.items()}
        identities = runs["identity"].tolist()
        variances = _variances(references, ([(read(one), 1.0)] for one in identities), scales)
    return {name: METRICS[name].over_references(each[name], references, variances.get(name)) for name in METRICS}


def differences_of(
    ours: pd.DataFrame, theirs: pd.DataFrame, metrics: Sequence[str], read: ReadInfluences | None = None
) -> list[Difference]:
    """How runs differ from their partners, paired by reference and seed.

    Args:
        ours: a row each, as in ``estimates_of``.
        theirs: the partners, in the same order.
        metrics: names of measurements.
        read: reads a run's influences; None for intervals of these test instances alone.
    """
    references = ours["reference_seed"].tolist()
    a, b = ({name: _column(side, name) for name in metrics} for side in (ours, theirs))
    variances: dict[str, InstanceVariance] = {}
    if read is not None and len(set(references)) >= ENOUGH_REFERENCES:
        pairs = zip(ours["identity"].tolist(), theirs["identity"].tolist(), strict=True)
        scales = [{name: _scale(name, side[name]) for name in metrics} for side in (a, b)]
        signed = ([(read(one), 1.0), (read(other), -1.0)] for one, other in pairs)
        variances = _variances(references, signed, *scales)
    averagings = {name: METRICS[name].averaging for name in metrics}
    contrasts = [contrasts_by_reference(a[name], b[name], references, averagings[name]) for name in metrics]
    return [
        Difference(
            name,
            METRICS[name].contrast(a[name], b[name], references, variances.get(name)),
            averagings[name] == "geometric",
            p if METRICS[name].has_interval else None,
            len(references),
        )
        for name, p in zip(metrics, p_values(contrasts), strict=True)
    ]


def _column(runs: pd.DataFrame, name: str) -> Floats:
    """A measurement of each run ``[n]``, not a number where it is undefined."""
    if name not in runs:
        return np.full(len(runs), np.nan)
    return runs[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _scale(name: str, values: Floats) -> Floats:
    """What a run's influences are divided by, ``[n]``: its value where logarithms are averaged, and else 1."""
    return values if METRICS[name].averaging == "geometric" and (values > 0).all() else np.ones(len(values))


def _variances(
    references: Sequence[object],
    runs: Iterable[Sequence[tuple[Influences, float]]],
    *scales: dict[str, Floats],
) -> dict[str, InstanceVariance]:
    """What instances carry of each measurement, by its name; nothing if runs are of different instances.

    Args:
        references: of each run.
        runs: each run's influences with a sign, or both sides of a pair.
        scales: for each side, what its influences are divided by.
    """
    last = {reference: position for position, reference in enumerate(references)}
    count = {reference: list(references).count(reference) for reference in last}
    waiting: dict[object, dict[str, Floats]] = {}
    tallies: dict[str, InstanceTally] = {}
    instances = set()
    for position, (reference, sides) in enumerate(zip(references, runs, strict=True)):
        sums = waiting.setdefault(reference, {})
        for (found, sign), scale in zip(sides, scales, strict=True):
            instances.add(found.instances)
            for name in scale.keys() & found.by_metric.keys():
                each = found.by_metric[name] * (sign / (scale[name][position] * count[reference]))
                sums[name] = sums[name] + each if name in sums else each
        if len(instances) > 1:
            return {}
        if last[reference] == position:
            for name, each in waiting.pop(reference).items():
                tallies.setdefault(name, InstanceTally()).add(each)
    return {name: variance for name, tally in tallies.items() if (variance := tally.variance()) is not None}
