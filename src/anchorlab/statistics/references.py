"""Means and contrasts over references, with Student's t: the reference is the unit of independence.

Runs on one reference are alike, because they share its weights, so each reference counts once: its runs are averaged
first. Intervals are of 95% and speak of further references on the same test set. One or two references have no
interval: their own values stand in ``Estimate.each``. Where it is known that instances carry more than a fifth of the
mean's variance, the interval has the variance over references and instances (``anchorlab.statistics.two_way``), and
speaks of further test instances too: ``Estimate.over_instances`` says so.

A value is averaged in one of three ways:

- ``geometric``, for what spans powers of ten: the mean and Student's t are of logarithms. A geometric mean with one
  value of exactly 0 is 0, whatever the others are. Then the mean is plain, and ``Estimate.averaging`` says so.
- ``rate``, for what lies from 0 to 1: Student's t, cut to that range. Where all references are 0, or all 1, the
  interval is Clopper and Pearson's (1934) for as many references, which holds the mean too: the mean of a rate is at
  most the chance that it is not 0.
- ``plain``, for all else: Student's t, cut to the limits of the value if it has any.

Where all references have one value that is neither 0 nor 1, nothing says how far they vary, and there is no interval.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from scipy.special import logit
from scipy.stats import beta, t

from anchorlab.statistics.arrays import Floats
from anchorlab.statistics.estimate import LEVEL, Averaging, Estimate
from anchorlab.statistics.tests import sign_flips
from anchorlab.statistics.two_way import LEAST_SHARE, InstanceVariance

#: Fewer references than this give no interval between references.
ENOUGH_REFERENCES = 3

#: Fewer references than this give no p value.
ENOUGH_FOR_P = 12

#: The limits of a value that has none.
UNLIMITED = (-math.inf, math.inf)

#: The share of what lies below the upper end of an interval.
_UPPER = (1 + LEVEL) / 2


def mean_over_references(
    values: Iterable[float | None],
    references: Iterable[Hashable],
    averaging: Averaging = "plain",
    *,
    limits: tuple[float, float] = UNLIMITED,
    instances: InstanceVariance | None = None,
) -> Estimate:
    """The mean over references with Student's t interval, from three references on.

    Args:
        values: of each run.
        references: of each run, in the same order.
        averaging: ``geometric``, ``rate`` or ``plain``.
        limits: the least and the greatest value that the measurement can have; of a rate they are 0 and 1.
        instances: what instances carry of the mean's variance, of the mean's logarithm if it is geometric.

    Returns:
        Without a value if there is no run, or any run's is None or not finite. ``units`` is the number of references.

    Raises:
        ValueError: if there are not as many values as references, or a geometric mean is asked of negative values.
    """
    runs, of = _checked(values, references)
    if not len(runs) or not np.isfinite(runs).all():
        return Estimate(None, units=len(set(of)))
    if averaging == "geometric":
        if runs.min() < 0:
            raise ValueError(f"a geometric mean needs values of 0 or more, but one is {runs.min():g}")
        if runs.min() > 0:
            return _exponential(_student(by_reference(np.log(runs), of), instances))
        averaging, limits = "plain", (max(limits[0], 0.0), limits[1])
    means = by_reference(runs, of)
    if averaging != "rate":
        return _marked(_cut(_student(means, instances), limits, averaging), means)
    if len(means) >= ENOUGH_REFERENCES and np.ptp(means) == 0 and means[0] in (0, 1):
        return Estimate(
            float(means[0]), *clopper_pearson(len(means), int(means.sum())), len(means), averaging=averaging
        )
    return _marked(_cut(_student(means, instances), (0.0, 1.0), averaging), means)


def _marked(estimate: Estimate, means: Floats) -> Estimate:
    """The estimate, with how much its references ``[R]`` differ."""
    is_rate = estimate.averaging == "rate"
    if estimate.bounds is None or means.min() <= 0 or (is_rate and means.max() >= 1):
        return estimate
    spread = logit(means) if is_rate else np.log(means)
    return replace(estimate, spread=float(spread.std(ddof=1)))


def contrast_over_references(
    ours: Iterable[float | None],
    theirs: Iterable[float | None],
    references: Iterable[Hashable],
    averaging: Averaging = "plain",
    *,
    instances: InstanceVariance | None = None,
) -> Estimate:
    """How runs differ from their partners on the same references: the mean over references with Student's t interval.

    Args:
        ours: a value of each run.
        theirs: the value of each run's partner.
        references: of each pair, in the same order.
        averaging: ``geometric`` gives the ratio of geometric means, ``ours / theirs``; all else the difference
            ``ours - theirs``, and for a rate its interval is cut to what two rates can differ by.
        instances: what instances carry of the contrast's variance, of its logarithm if it is a ratio.

    Returns:
        As ``mean_over_references``; without a value too where a ratio is asked of a value of 0 or less.

    Raises:
        ValueError: if there are not as many values as references.
    """
    each = contrasts_by_reference(ours, theirs, references, averaging)
    if not len(each) or not np.isfinite(each).all():
        return Estimate(None, units=len(each))
    if averaging == "geometric":
        return _exponential(_student(each, instances))
    return _cut(_student(each, instances), (-1.0, 1.0) if averaging == "rate" else UNLIMITED, averaging)


def contrasts_by_reference(
    ours: Iterable[float | None],
    theirs: Iterable[float | None],
    references: Iterable[Hashable],
    averaging: Averaging = "plain",
) -> Floats:
    """The contrast of each reference, the mean of its pairs, ``[R]``: log ratios if ``geometric``, else differences.

    What is undefined is not finite.
    """
    (a, of), (b, _) = (_checked(side, references := tuple(references)) for side in (ours, theirs))
    with np.errstate(divide="ignore", invalid="ignore"):
        return by_reference(np.log(a) - np.log(b) if averaging == "geometric" else a - b, of)


def p_values(several: Sequence[Floats], *, seed: int = 0) -> list[float | None]:
    """Two-sided p of sign flips of each measurement's contrasts ``[R]`` of the same references.

    None with fewer than 12 references, and where a contrast is not finite.
    """
    sure = [each for each in several if len(each) >= ENOUGH_FOR_P and np.isfinite(each).all()]
    found = iter(sign_flips(sure, seed=seed))
    return [next(found) if len(each) >= ENOUGH_FOR_P and np.isfinite(each).all() else None for each in several]


def by_reference(values: Floats, references: Sequence[Hashable]) -> Floats:
    """The mean of each reference's values, in the order in which they first appear, ``[R]``."""
    number: dict[Hashable, int] = {}
    index = np.array([number.setdefault(reference, len(number)) for reference in references], dtype=np.int64)
    if len(number) == len(index):
        return values
    return np.asarray(np.bincount(index, weights=values) / np.bincount(index), dtype=np.float64)


@lru_cache(maxsize=4096)
def t_quantile(freedom: float) -> float:
    """The 97.5% quantile of Student's t with so many degrees of freedom."""
    return float(t.ppf(_UPPER, freedom))


def _checked(values: Iterable[float | None], references: Iterable[Hashable]) -> tuple[Floats, list[Hashable]]:
    runs = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    of = list(references)
    if len(runs) != len(of):
        raise ValueError(f"each value needs its reference, but there are {len(runs)} values and {len(of)} references")
    return runs, of


def _student(means: Floats, instances: InstanceVariance | None = None) -> Estimate:
    """The mean of references ``[R]``, with its interval if there are enough and they differ."""
    R, value = len(means), float(means.mean())
    if R < ENOUGH_REFERENCES:
        return Estimate(value, units=R, each=tuple(means.tolist()))
    if np.ptp(means) == 0:
        return Estimate(float(means[0]), units=R)
    between = float(means.var(ddof=1)) / R
    half, counted = t_quantile(R - 1) * math.sqrt(between), False
    if instances is not None and instances.share(between) > LEAST_SHARE:
        # Never narrower than the interval of these instances alone, whose quantile is larger: three references that
        # happen to be alike make the share look large.
        variance, freedom = instances.variance(between, R)
        half, counted = max(half, t_quantile(freedom) * math.sqrt(variance)), True
    return Estimate(value, value - half, value + half, units=R, over_instances=counted)


def _exponential(of_logarithms: Estimate) -> Estimate:
    value, lower, upper = (
        None if end is None else math.exp(end)
        for end in (of_logarithms.value, of_logarithms.lower, of_logarithms.upper)
    )
    each = tuple(math.exp(one) for one in of_logarithms.each)
    return replace(of_logarithms, value=value, lower=lower, upper=upper, each=each, averaging="geometric")


def _cut(estimate: Estimate, limits: tuple[float, float], averaging: Averaging) -> Estimate:
    bounds = estimate.bounds
    lower, upper = (None, None) if bounds is None else (max(bounds[0], limits[0]), min(bounds[1], limits[1]))
    return replace(estimate, lower=lower, upper=upper, averaging=averaging)


def clopper_pearson(references: int, ones: int) -> tuple[float, float]:
    """The interval of a share, where so many references have 1 and the others 0."""
    lower = float(beta.ppf(1 - _UPPER, ones, references - ones + 1)) if ones else 0.0
    return lower, float(beta.ppf(_UPPER, ones + 1, references - ones)) if ones < references else 1.0
