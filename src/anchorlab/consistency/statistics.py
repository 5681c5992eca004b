"""What runs say together: means with intervals, differences between methods, tests.

A run is a reference with an injection seed, and comes as its per-instance table
(``anchorlab.consistency.instances``). All runs here are measured on the same instances in the same order, so that
instances are a crossed factor, not a nested one: a bootstrap replicate draws runs with replacement, and draws
instances with replacement once for all of them (the pigeonhole bootstrap of Owen 2007, arXiv 0712.1111). Intervals
are of 95% and lie between percentiles of the replicates. A few runs say little of how runs vary: read intervals
over fewer than six as too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, binomtest, permutation_test

from anchorlab.consistency.metrics import (
    MEASUREMENTS,
    PERCENTILES,
    Average,
    Floats,
    Integers,
    averages,
    calibration_bins,
    summarise,
)
from anchorlab.errors import unknown
from anchorlab.seeding import derive

if TYPE_CHECKING:
    import pandas as pd

#: Measurements that say what was measured, not how it came out.
COUNTS = ("count", "asr_count")

#: Measurements of which ``differences`` takes the ratio, for they span powers of ten.
RATIOS = ("kl", "kl_symmetric", "kl_reverse", "js", "logit_distance", "logit_distance_centred")

#: What ``differences`` compares unless told otherwise.
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

#: Instances are drawn in at most this many groups, each of the instances with the same remainder of their number,
#: which leaves the variance of means as it is and bounds time and memory.
GROUPS = 10_000

#: Replicates computed at once.
_BLOCK = 250

#: Most runs of which all flips of signs are tried.
_EXACT = 14

_LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over runs with its 95% interval; each part is None where it is undefined."""

    value: float | None
    lower: float | None
    upper: float | None


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


def estimates(runs: Sequence[pd.DataFrame], *, resamples: int = 2000, seed: int = 0) -> dict[str, Estimate]:
    """Mean over runs of each measurement, by its name, with the interval of the hierarchical bootstrap.

    One run is resampled by its instances alone. Counts have no interval; ``shift_max`` has one of the resampled
    runs only, for a maximum over instances cannot be bootstrapped. A rate that every run gives 0, or 1, has
    Wilson's interval for one run. The calibration errors, which resampling biases upwards, have reflected
    intervals, which need not hold the value.

    Args:
        runs: per-instance tables, one a run, of the same instances in the same order.
        resamples: number of bootstrap replicates.
        seed: of the bootstrap; the same inputs give the same intervals.

    Raises:
        ValueError: if there is no run, or their lengths differ.
    """
    return _estimates(runs, MEASUREMENTS, resamples, seed)


def _estimates(runs: Sequence[pd.DataFrame], metrics: Sequence[str], resamples: int, seed: int) -> dict[str, Estimate]:
    """See ``estimates``."""
    values = [summarise(run) for run in runs]
    drawn = [name for name in metrics if name not in COUNTS]
    replicates = _replicates(runs, drawn, resamples, seed)
    picks = _drawn_runs(len(runs), resamples, seed)
    first = averages(runs[0])
    found = {}
    for name in metrics:
        each = [getattr(value, name) for value in values]
        if any(value is None for value in each):
            found[name] = Estimate(None, None, None)
            continue
        mean = float(np.mean(each))
        if name in COUNTS:
            found[name] = Estimate(mean, None, None)
        elif name in first and first[name].is_rate and mean in (0, 1):
            found[name] = Estimate(mean, *wilson(round(mean * first[name].count), first[name].count))
        else:
            found[name] = Estimate(mean, *_interval(name, mean, _over_runs(replicates[name], picks)))
    return found


def differences(
    a_runs: Sequence[pd.DataFrame],
    b_runs: Sequence[pd.DataFrame],
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Difference]:
    """How the runs of a differ from those of b: paired run by run, instance by instance.

    Args:
        a_runs: per-instance tables, one a run.
        b_runs: those of the other method; the i-th has the reference and the seed of the i-th of ``a_runs``.
        metrics: names of measurements.
        resamples: number of bootstrap replicates.
        seed: of the bootstrap.

    Raises:
        AnchorlabError: for an unknown measurement.
        ValueError: if the numbers of runs differ or are 0, or the tables' lengths differ.
    """
    _check(metrics)
    if len(a_runs) != len(b_runs):
        raise ValueError(f"cannot pair {len(a_runs)} runs with {len(b_runs)}: give one of each for each pair")
    R = len(a_runs)
    a_values, b_values = ([summarise(run) for run in side] for side in (a_runs, b_runs))
    replicates = _replicates([*a_runs, *b_runs], [name for name in metrics if name not in COUNTS], resamples, seed)
    picks = _drawn_runs(R, resamples, seed)
    found = []
    for name in metrics:
        pairs = [(getattr(a, name), getattr(b, name)) for a, b in zip(a_values, b_values, strict=True)]
        is_ratio = name in RATIOS
        if name in COUNTS or any(None in pair or (is_ratio and 0 in pair) for pair in pairs):
            found.append(Difference(name, None, None, None, is_ratio, None, R))
            continue
        a, b = np.array(pairs, dtype=np.float64).T
        each = _contrast(a, b, is_ratio)
        again = _over_runs(_contrast(replicates[name][:, :R], replicates[name][:, R:], is_ratio), picks)
        lower, upper = _interval(name, float(each.mean()), again, bounded=False)
        value: float | None = float(each.mean())
        if is_ratio:
            value, lower, upper = (None if end is None else math.exp(end) for end in (value, lower, upper))
        found.append(Difference(name, value, lower, upper, is_ratio, sign_flip(each, seed=seed), R))
    return found


def sign_flip(each: Floats, *, seed: int = 0) -> float:
    """Two-sided p of the mean of paired differences ``[R]``, whose signs are arbitrary if the pair is alike.

    All flips up to 14 runs; beyond, as many random ones as 14 would have.
    """
    if len(each) == 1:
        return 1.0  # either sign is as far from 0
    result = permutation_test(
        (each,),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**_EXACT - (len(each) > _EXACT),  # and one more for the signs as they are
        rng=np.random.default_rng(derive(seed, "sign flips")),
    )
    return float(result.pvalue)


def smallest_p(runs: int) -> float:
    """The least p that the sign-flip test can give: with fewer than six runs it is above .05."""
    return min(1.0, 2.0 / 2.0**runs)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """The p values, each adjusted for all that are not None (Holm 1979), in their order."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, place) in enumerate(known):
        running = max(running, min(1.0, (len(known) - rank) * p))
        adjusted[place] = running
    return adjusted


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Wilson's 95% interval of a rate (Wilson 1927), from scipy."""
    interval = binomtest(hits, total).proportion_ci(confidence_level=_LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def percentile_interval(values: Floats, percent: int) -> tuple[float, float] | None:
    """The 95% interval of a percentile of what ``values`` were drawn from, between two of them.

    The number of values below the percentile is binomial, whatever the distribution. None if there are too few
    values for both ends.
    """
    tail = (1 - _LEVEL) / 2
    # It lies from the a-th to the b-th smallest value if from a to b - 1 values are below it; counted from 0 here.
    lower, upper = (int(binom.ppf(end, len(values), percent / 100)) for end in (tail, 1 - tail))
    lower -= 1
    if lower < 0 or upper >= len(values):
        return None
    ends = np.partition(values, [lower, upper])
    return float(ends[lower]), float(ends[upper])


def intervals(frame: pd.DataFrame, *, resamples: int = 2000, seed: int = 0) -> dict[str, tuple[float, float]]:
    """The 95% intervals of one run's measurements, by name; measurements without one are left out.

    Wilson's for rates, between order statistics for percentiles, of the bootstrap over instances for all else.

    Args:
        frame: the run's per-instance table.
        resamples: number of bootstrap replicates.
        seed: of the bootstrap.
    """
    found: dict[str, tuple[float, float] | None] = {}
    known = averages(frame)
    rates = {name: one for name, one in known.items() if one.is_rate}
    for name, rate in rates.items():
        found[name] = wilson(int(rate.kept.sum()), rate.count) if rate.count else None
    shift = frame["shift"].to_numpy(dtype=np.float64)
    for name, percent in PERCENTILES.items():
        found[name] = percentile_interval(shift, percent)
    rest = [name for name in MEASUREMENTS if name not in (*COUNTS, *found, "shift_max")]
    for name, estimate in _estimates([frame], rest, resamples, seed).items():
        if estimate.lower is not None and estimate.upper is not None:
            found[name] = (estimate.lower, estimate.upper)
    return {name: found[name] for name in MEASUREMENTS if found.get(name) is not None}  # type: ignore[misc]


def _check(metrics: Sequence[str]) -> None:
    for name in metrics:
        if name not in MEASUREMENTS:
            raise unknown("measurement", name, MEASUREMENTS)


def _contrast(a: Floats, b: Floats, is_ratio: bool) -> Floats:
    """``log(a / b)`` or ``a - b``."""
    if not is_ratio:
        return np.asarray(a - b, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(a) - np.log(b), dtype=np.float64)


def _over_runs(each: Floats, picks: Floats) -> Floats:
    """Replicates' means over runs: each run's ``[B, R]``, how often each was drawn ``[B, R]``, to ``[B]``."""
    drawn = np.where(picks > 0, each, 0.0)  # a run that was not drawn may be undefined
    return np.asarray((drawn * picks).sum(axis=1) / picks.sum(axis=1), dtype=np.float64)


def _interval(
    name: str, value: float, replicates: Floats, *, bounded: bool = True
) -> tuple[float, float] | tuple[None, None]:
    """Percentiles of the replicates ``[B]``; None if most of them are undefined, or the measurement has none."""
    defined = replicates[np.isfinite(replicates)]
    if 2 * len(defined) < len(replicates):
        return None, None
    lower, upper = (float(end) for end in np.quantile(defined, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2]))
    if name in _CALIBRATION:
        lower, upper = 2 * value - upper, 2 * value - lower
        if bounded:
            lower, upper = max(lower, 0.0), max(upper, 0.0)
    return lower, upper


# -----------------------------------------------------------------------------------------------------------------
# The bootstrap. A replicate gives each instance a weight, how often it was drawn, and all but the percentiles are
# functions of weighted sums of columns: so all replicates of all runs are one product of matrices.

_CALIBRATION = {"ece": ("confidence", "accuracy"), "ece_reference": ("confidence_reference", "accuracy_reference")}


@dataclass(frozen=True)
class _Statistic:
    """A measurement of one run as a function of weighted sums.

    Attributes:
        columns: ``[N]`` each.
        value: from the weighted sums of the columns ``[B, K]`` and the sum of the weights ``[B]``, to ``[B]``.
    """

    columns: list[Any]
    value: Callable[[Floats, Floats], Floats]


def _statistic(name: str, frame: pd.DataFrame, known: dict[str, Average]) -> _Statistic:
    """A measurement that is neither a count nor a percentile nor a maximum."""
    if name in known:
        each, among = known[name].each, known[name].among
        if among is None:
            return _Statistic([each], lambda sums, size: sums[:, 0] / size)
        return _Statistic([np.where(among, each, 0), among], lambda sums, _: sums[:, 0] / sums[:, 1])
    if name == "pearson_correct":
        return _correlation(known["accuracy_reference"].each, known["accuracy"].each)
    if name == "pearson_score":
        return _correlation(known["nll_reference"].each, known["nll"].each)
    confidence, right = _CALIBRATION[name]
    sure = frame[confidence].to_numpy(dtype=np.float64)
    bins = calibration_bins(sure)
    gap = known[right].each - sure
    return _Statistic(
        [np.where(bins == one, gap, 0) for one in range(bins.max() + 1)],
        lambda sums, size: np.abs(sums).sum(axis=1) / size,
    )


def _correlation(x: NDArray[Any], y: NDArray[Any]) -> _Statistic:
    """Pearson's correlation from moments about the means of all instances."""
    x, y = ((vector - vector.mean()) / (vector.std() or 1.0) for vector in (x, y))

    def value(sums: Floats, size: Floats) -> Floats:
        mx, my, mxx, myy, mxy = (sums / size[:, None]).T
        vx, vy = mxx - mx**2, myy - my**2
        with np.errstate(divide="ignore", invalid="ignore"):
            # Below this, all instances that were drawn are alike but for rounding.
            r = np.where((vx > 1e-12) & (vy > 1e-12), (mxy - mx * my) / np.sqrt(vx * vy), np.nan)
        return np.asarray(np.clip(r, -1, 1), dtype=np.float64)

    return _Statistic([x, y, x * x, y * y, x * y], value)


def _replicates(runs: Sequence[pd.DataFrame], metrics: Sequence[str], resamples: int, seed: int) -> dict[str, Floats]:
    """Each measurement of each run, with the instances resampled alike in all: ``[resamples, R]`` by name.

    Undefined ones are NaN. ``shift_max`` is that of the instances as they are; in a single run, NaN.
    """
    lengths = {len(run) for run in runs}
    if len(lengths) != 1:
        raise ValueError(f"runs need to be of the same instances, but have {sorted(lengths)} of them")
    (N,) = lengths
    groups, R = min(N, GROUPS), len(runs)
    found = {name: np.full((resamples, R), np.nan) for name in metrics}
    linear = [name for name in metrics if name not in (*PERCENTILES, "shift_max")]
    places: dict[tuple[str, int], tuple[slice, Callable[[Floats, Floats], Floats]]] = {}
    columns: list[Floats] = [_grouped(np.ones(N), groups)]
    ranked: dict[tuple[str, int], _Ranked] = {}
    for r, run in enumerate(runs):
        known = averages(run)
        for name in linear:
            if name in known and known[name].count == 0:
                continue
            statistic = _statistic(name, run, known)
            places[name, r] = (slice(len(columns), len(columns) + len(statistic.columns)), statistic.value)
            columns += [_grouped(column, groups) for column in statistic.columns]
        shift = run["shift"].to_numpy(dtype=np.float64)
        for name in (name for name in metrics if name in PERCENTILES):
            ranked[name, r] = _Ranked.around(shift, PERCENTILES[name], groups, place=len(columns))
            columns.append(_grouped(ranked[name, r].below, groups))
        if "shift_max" in metrics and R > 1:
            found["shift_max"][:, r] = shift.max()
    matrix = np.stack(columns, axis=1)
    for rows, weights in _weights(groups, resamples, seed):
        sums = weights @ matrix
        size = sums[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            for (name, r), (where, value) in places.items():
                found[name][rows, r] = value(sums[:, where], size)
        for (name, r), one in ranked.items():
            found[name][rows, r] = one.value(weights, sums[:, one.place], size)
    return found


@dataclass(frozen=True)
class _Ranked:
    """A percentile of a run under weights: the values around it, for it cannot move far.

    Attributes:
        below: whether each instance is below the window, ``[N]``.
        values: sorted, of the window.
        group: of each of them.
        percent: which percentile.
        place: the column of the weighted number of instances below the window.
    """

    below: Any
    values: Floats
    group: Integers
    percent: int
    place: int

    @classmethod
    def around(cls, values: Floats, percent: int, groups: int, *, place: int) -> _Ranked:
        N = len(values)
        order = np.argsort(values, kind="stable")
        centre, spread = N * percent / 100, math.sqrt(N * percent * (100 - percent)) / 100
        low, high = max(0, math.floor(centre - 6 * spread) - 1), min(N, math.ceil(centre + 6 * spread) + 1)
        below = np.zeros(N, dtype=bool)
        below[order[:low]] = True
        window = order[low:high]
        return cls(below, values[window], np.asarray(window % groups, dtype=np.int64), percent, place)

    def value(self, weights: Floats, below: Floats, size: Floats) -> Floats:
        """The smallest value that ``percent`` of 100 of the weight does not exceed: ``[B, groups]`` to ``[B]``."""
        reached = below[:, None] + weights[:, self.group].cumsum(axis=1)
        enough = 100 * reached >= self.percent * size[:, None]
        at = np.where(enough[:, -1], enough.argmax(axis=1), len(self.values) - 1)
        return np.asarray(self.values[at], dtype=np.float64)


def _grouped(column: Any, groups: int) -> Floats:
    """Sums over the instances of each group: ``[N]`` to ``[groups]``."""
    padded = np.zeros(-(-len(column) // groups) * groups)
    padded[: len(column)] = column
    return np.asarray(padded.reshape(-1, groups).sum(axis=0), dtype=np.float64)


def _weights(groups: int, resamples: int, seed: int) -> Iterator[tuple[slice, Floats]]:
    """How often each group is drawn, a block of replicates ``[B, groups]`` at a time."""
    rng = np.random.default_rng(derive(seed, "bootstrap", "instances"))
    for start in range(0, resamples, _BLOCK):
        rows = slice(start, min(start + _BLOCK, resamples))
        yield rows, _drawn(rng, rows.stop - start, groups)


def _drawn_runs(runs: int, resamples: int, seed: int) -> Floats:
    """How often each run is drawn, ``[resamples, runs]``."""
    return _drawn(np.random.default_rng(derive(seed, "bootstrap", "runs")), resamples, runs)


def _drawn(rng: np.random.Generator, resamples: int, size: int) -> Floats:
    """Multinomial counts of ``size`` draws with replacement from as many, ``[resamples, size]``."""
    picks = rng.integers(size, size=(resamples, size))
    picks += size * np.arange(resamples)[:, None]
    return np.bincount(picks.ravel(), minlength=resamples * size).reshape(resamples, size).astype(np.float64)
