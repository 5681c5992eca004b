"""What each instance does to a run's measurements: how far one would move, N times, if the instance counted more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from anchorlab.metrics import METRICS, InstanceTable, Mean
from anchorlab.metrics.summaries import WeightedSums
from anchorlab.statistics.arrays import Floats

#: Relative step of the difference quotients.
_STEP = 1e-6


@dataclass(frozen=True)
class Influences:
    """A run's influences.

    Attributes:
        instances: the same for runs of the same instances in the same order.
        by_metric: float64 ``[N]`` by name; without the metrics that have no interval, that are undefined, or that are
            no function of means over instances, such as percentiles.
    """

    instances: bytes
    by_metric: Mapping[str, Floats]


def influences(table: InstanceTable, names: Iterable[str] | None = None, examples: str = "") -> Influences:
    """The influence of each instance on each measurement of a run.

    Args:
        table: the run's per-instance table.
        names: of measurements; None for all.
        examples: a hash of the examples that the rows are of, where it is known; other examples may have these labels.
    """
    found = {name: each for name in (METRICS if names is None else names) if (each := _of(table, name)) is not None}
    return Influences(hashlib.sha256(table.label.tobytes() + examples.encode()).digest(), found)


def _of(table: InstanceTable, name: str) -> Floats | None:
    metric = METRICS[name]
    if not (metric.has_interval and metric.is_in(table)):
        return None
    reduction = metric.reduction
    if not isinstance(reduction, Mean):
        sums = reduction.weighted(table)
        return None if sums is None else _by_quotients(sums, len(table))
    average = reduction.average(table)
    if average.mean is None:
        return None
    apart = np.asarray(average.each - average.mean, dtype=np.float64)
    return apart if average.among is None else np.where(average.among, apart * (len(table) / average.count), 0.0)


def _by_quotients(sums: WeightedSums, N: int) -> Floats | None:
    """Of a function of weighted sums, by its slope along each of them; None where it has none."""
    columns = np.array([np.asarray(column, dtype=np.float64) for column in (*sums.columns, np.ones(N))])
    at = columns.sum(axis=1)
    steps = _STEP * np.maximum(np.abs(at), N)
    moved = np.concatenate([at[:, None] + sign * np.diag(steps) for sign in (1, -1)], axis=1)
    values = sums.value(moved[:-1], moved[-1])
    slopes = (values[: len(at)] - values[len(at) :]) / (2 * steps)
    return np.asarray(N * slopes @ columns, dtype=np.float64) if np.isfinite(slopes).all() else None
