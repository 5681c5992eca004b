"""What runs say together: means with intervals, differences between methods, tests.

A run is a reference with an injection seed, and comes as its per-instance table
(``anchorlab.consistency.instances``). All runs here are measured on the same instances in the same order, so that
instances are a crossed factor, not a nested one: a bootstrap replicate draws runs with replacement, and draws
instances with replacement once for all of them (the pigeonhole bootstrap of Owen 2007, arXiv 0712.1111). Intervals
are of 95% and lie between percentiles of the replicates. A few runs say little of how runs vary: read intervals
over fewer than six as too narrow.

Resampling is what takes time. Resample each run once, with ``anchorlab.consistency.bootstrap``, and compare it as
often as you like.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from anchorlab.consistency.bootstrap import Resampled, drawn_runs
from anchorlab.metrics import METRICS, Calibration, Maximum
from anchorlab.statistics.arrays import Floats
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.intervals import between_replicates, wilson
from anchorlab.statistics.tests import sign_flips

#: What ``differences_of`` compares by default.
DEFAULT_METRICS = (
    "accuracy",
    "asr",
    "kl",
    "js",
    "total_variation",
    "logit_distance",
    "churn",
    "negative_flips",
    "leakage",
    "pearson_correct",
)


@dataclass(frozen=True)
class Difference:
    """How one method's runs differ from another's, paired run by run.

    Attributes:
        metric: name of the measurement.
        value: mean over runs of ``a - b``; if ``is_ratio``, the geometric mean of ``a / b``. None if undefined.
        lower: end of the 95% interval; None if undefined.
        upper: end of the 95% interval; None if undefined.
        is_ratio: whether it is a ratio.
        p: of the two-sided sign-flip test over runs; None if undefined.
        p_holm: the same after Holm's correction, where the caller made one.
        runs: number of pairs.
    """

    metric: str
    value: float | None
    lower: float | None
    upper: float | None
    is_ratio: bool
    p: float | None
    runs: int
    p_holm: float | None = None


def estimates_of(runs: Iterable[Resampled], count: int | None = None) -> dict[str, Estimate]:
    """Mean over runs of each measurement, by its name, with the interval of the hierarchical bootstrap.

    One run is resampled by its instances alone. Counts have no interval; a maximum has one of the resampled runs only,
    because a maximum over instances cannot be bootstrapped. A rate that every run gives 0, or 1, has Wilson's interval
    for one run. The calibration errors, which resampling biases upwards, have reflected intervals, which need not hold
    the value.

    Args:
        runs: runs of the same instances in the same order, resampled in the same measurements. They may come one by
            one: few of them are held at a time.
        count: their number; None if they are a sequence.

    Raises:
        ValueError: if there is no run, or they were not drawn alike.
    """
    if count is None:
        runs = list(runs)
        count = len(runs)
    first, each, drawn = _gathered(runs, count)
    found = {}
    for name in METRICS:
        if not METRICS[name].is_count and name not in first.replicates:
            continue
        values = [value for value in each[name] if value is not None]
        if len(values) < count:
            found[name] = Estimate(None, None, None)
            continue
        mean = float(np.mean(values))
        if METRICS[name].is_count or (isinstance(METRICS[name].reduction, Maximum) and count == 1):
            found[name] = Estimate(mean, None, None)
        elif name in first.rates and mean in (0, 1):
            instances = first.rates[name]
            found[name] = Estimate(mean, *wilson(round(mean * instances), instances))
        else:
            found[name] = Estimate(mean, *_interval(name, mean, drawn[name]))
    return found


def _gathered(
    runs: Iterable[Resampled], count: int
) -> tuple[Resampled, dict[str, list[float | None]], dict[str, Floats]]:
    """The first run, each measurement of every run, and its replicates' means over runs ``[B]``."""
    each: dict[str, list[float | None]] = {name: [] for name in METRICS}
    parts: list[dict[str, Floats]] = []
    first, picks, start = None, np.empty((0, 0)), 0
    coming = iter(runs)
    for size in _leaves(count):
        some = list(islice(coming, size))
        if first is None:
            picks = _picks(some, count)
            first = some[0]
        _draw([first, *some])
        for run in some:
            for name in METRICS:
                each[name].append(getattr(run.values, name))
        drawn = picks[:, start : start + size]
        parts.append({name: _weighted_sum(_replicates(some, name), drawn) for name in first.replicates})
        start += size
    assert first is not None  # because _picks refuses no runs
    whole = picks.sum(axis=1)
    sums = {name: _joined([part[name] for part in parts], count) for name in first.replicates}
    return first, each, {name: np.asarray(total / whole, dtype=np.float64) for name, total in sums.items()}


#: Numbers that numpy adds up in one go. It halves a longer sum again and again, which bounds the rounding.
_IN_ONE_GO = 128


def _halves(count: int) -> tuple[int, int] | None:
    """Where numpy halves a sum of so many numbers; None if it does not."""
    half = count // 2 - count // 2 % 8
    return None if count <= _IN_ONE_GO else (half, count - half)


def _leaves(count: int) -> list[int]:
    """How many numbers are in each of the sums that numpy adds up in one go."""
    halves = _halves(count)
    return [count] if halves is None else [size for half in halves for size in _leaves(half)]


def _joined(sums: list[Floats], count: int) -> Floats:
    """The sum of ``count`` numbers from the sums of its ``_leaves``, added as numpy adds: the same to the last bit."""
    halves = _halves(count)
    if halves is None:
        return sums[0]
    first = len(_leaves(halves[0]))
    return np.asarray(_joined(sums[:first], halves[0]) + _joined(sums[first:], halves[1]), dtype=np.float64)


def differences_of(
    a_runs: Sequence[Resampled], b_runs: Sequence[Resampled], *, metrics: Sequence[str] = DEFAULT_METRICS
) -> list[Difference]:
    """How the runs a differ from the runs b: paired run by run, instance by instance.

    Args:
        a_runs: resampled runs, in these measurements at least.
        b_runs: the other method's runs; the i-th has the reference and the seed of the i-th of ``a_runs``.
        metrics: names of measurements.

    Raises:
        AnchorlabError: for an unknown measurement.
        ValueError: if the numbers of runs differ or are 0, or they were not drawn alike.
    """
    if len(a_runs) != len(b_runs):
        raise ValueError(f"cannot pair {len(a_runs)} runs with {len(b_runs)}: give one of each for each pair")
    picks = _picks([*a_runs, *b_runs], len(a_runs))
    each = {name: one for name in metrics if (one := _contrasts(a_runs, b_runs, name)) is not None}
    p_values = dict(zip(each, sign_flips(list(each.values()), seed=a_runs[0].seed), strict=True))
    found = []
    for name in metrics:
        value, lower, upper = None, None, None
        if name in each:
            value = float(each[name].mean())
            again = _contrast(_replicates(a_runs, name), _replicates(b_runs, name), name)
            lower, upper = _interval(name, value, _over_runs(again, picks), bounded=False)
        if _is_ratio(name):
            value, lower, upper = (None if end is None else math.exp(end) for end in (value, lower, upper))
        found.append(Difference(name, value, lower, upper, _is_ratio(name), p_values.get(name), len(a_runs)))
    return found


def _is_ratio(name: str) -> bool:
    """Whether runs are compared by the ratio of the measurement, because it spans powers of ten."""
    return METRICS[name].compared_as == "ratio"


def _contrasts(a_runs: Sequence[Resampled], b_runs: Sequence[Resampled], name: str) -> Floats | None:
    """The contrast of each pair as it is, ``[R]``; None if any pair's contrast is undefined."""
    pairs = [(getattr(a.values, name), getattr(b.values, name)) for a, b in zip(a_runs, b_runs, strict=True)]
    if METRICS[name].is_count or any(None in pair or (_is_ratio(name) and 0 in pair) for pair in pairs):
        return None
    a, b = np.array(pairs, dtype=np.float64).T
    return _contrast(a, b, name)


def _contrast(a: Floats, b: Floats, name: str) -> Floats:
    """``log(a / b)`` of the measurements whose ratio is taken, ``a - b`` of all others."""
    if not _is_ratio(name):
        return np.asarray(a - b, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(a) - np.log(b), dtype=np.float64)


def _replicates(runs: Sequence[Resampled], name: str) -> Floats:
    """A measurement of each run in each replicate, ``[B, R]``."""
    return np.stack([run.replicates[name] for run in runs], axis=1)


def _picks(runs: Sequence[Resampled], drawn: int) -> Floats:
    """How often each of ``runs`` runs is drawn in each replicate, ``[B, drawn]``.

    Raises:
        ValueError: if there is no run, or they were not drawn alike.
    """
    _, resamples, seed = _draw(runs)
    return drawn_runs(drawn, resamples, seed)


def _draw(runs: Sequence[Resampled]) -> tuple[int, int, int]:
    """How all runs were drawn: their instances, replicates and seed; raises ValueError if they were not alike."""
    alike = {(run.instances, run.resamples, run.seed) for run in runs}
    if len(alike) != 1:
        raise ValueError(
            "runs need to be of the same instances, resampled as often and from the same seed, but are of "
            f"{sorted(alike)} (instances, replicates, seed)"
        )
    return alike.pop()


def _over_runs(each: Floats, picks: Floats) -> Floats:
    """Replicates' means over runs: each run's ``[B, R]``, how often each was drawn ``[B, R]``, to ``[B]``."""
    return np.asarray(_weighted_sum(each, picks) / picks.sum(axis=1), dtype=np.float64)


def _weighted_sum(each: Floats, picks: Floats) -> Floats:
    """The sum over runs ``[B]`` of each run's replicates ``[B, R]``, as often as each was drawn ``[B, R]``."""
    drawn = np.where(picks > 0, each, 0.0)  # a run that was not drawn may be undefined
    return np.asarray((drawn * picks).sum(axis=1), dtype=np.float64)


def _interval(
    name: str, value: float, replicates: Floats, *, bounded: bool = True
) -> tuple[float, float] | tuple[None, None]:
    """Percentiles of the replicates ``[B]``; None if most of them are undefined, or the measurement has none."""
    defined = replicates[np.isfinite(replicates)]
    if 2 * len(defined) < len(replicates):
        return None, None
    lower, upper = between_replicates(defined)
    if isinstance(METRICS[name].reduction, Calibration):
        lower, upper = 2 * value - upper, 2 * value - lower
        if bounded:
            lower, upper = max(lower, 0.0), max(upper, 0.0)
    return lower, upper
