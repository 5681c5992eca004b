"""How the instances of a table become one number: a mean, a count, a percentile, a correlation, a calibration error."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anchorlab.metrics.table import InstanceTable
from anchorlab.statistics.arrays import Floats, Integers, Truths

#: Bins of the calibration error, each of the same number of instances.
ECE_BINS = 15

#: Reads ``[N]`` numbers or truth values from the per-instance table.
Read = Callable[[InstanceTable], NDArray[Any]]


@dataclass(frozen=True)
class WeightedSums:
    """A summary under weights of the instances, as the bootstrap and the influences need it.

    Attributes:
        columns: ``[N]`` each.
        value: from the weighted sums of the k columns ``[k, B]`` and the sum of the weights ``[B]``, to ``[B]``.
    """

    columns: Sequence[NDArray[Any]]
    value: Callable[[Floats, Floats], Floats]


class Summary(ABC):
    """A function of the per-instance table."""

    @abstractmethod
    def value(self, table: InstanceTable) -> float | None:
        """The number; None if it is undefined."""

    def why_undefined(self, table: InstanceTable) -> str:
        """A sentence on why ``value`` is None."""
        return f"it could not be measured on {len(table)} instance(s)"

    def weighted(self, table: InstanceTable) -> WeightedSums | None:
        """The same under weights; None if it is no function of weighted sums, or undefined."""
        return None


@dataclass(frozen=True)
class Average:
    """A measurement that is a mean over instances, or over some of them.

    Attributes:
        each: ``[N]``, floats or truth values; of the latter, the mean is a rate.
        among: bool ``[N]``, the instances that count; None for all.
    """

    each: NDArray[Any]
    among: Truths | None = None

    @property
    def kept(self) -> NDArray[Any]:
        """Those that count."""
        return self.each if self.among is None else self.each[self.among]

    @property
    def count(self) -> int:
        """Number of instances that count."""
        return len(self.kept)

    @property
    def is_rate(self) -> bool:
        """Whether the mean is the share of instances for which something holds."""
        return bool(self.each.dtype == bool)

    @property
    def mean(self) -> float | None:
        """The mean; None if no instance counts."""
        return float(self.kept.mean()) if self.count else None


@dataclass(frozen=True)
class Mean(Summary):
    """The mean over instances, or over some; a rate, if truth values are averaged.

    Attributes:
        each: reads what is averaged.
        among: reads which instances count; None for all.
        why_empty: says why no instance counts.
    """

    each: Read
    among: Callable[[InstanceTable], Truths] | None = None
    why_empty: Callable[[InstanceTable], str] = lambda table: "no instance counts"

    def average(self, table: InstanceTable) -> Average:
        """What is averaged, and over which instances."""
        return Average(self.each(table), None if self.among is None else self.among(table))

    def value(self, table: InstanceTable) -> float | None:
        """The mean; None if no instance counts."""
        return self.average(table).mean

    def why_undefined(self, table: InstanceTable) -> str:
        """Why no instance counts."""
        return self.why_empty(table)

    def weighted(self, table: InstanceTable) -> WeightedSums | None:
        """The weighted mean."""
        average = self.average(table)
        if not average.count:
            return None
        if average.among is None:
            return WeightedSums([average.each], lambda sums, size: sums[0] / size)
        columns = [np.where(average.among, average.each, 0), average.among]
        return WeightedSums(columns, lambda sums, _: sums[0] / sums[1])


@dataclass(frozen=True)
class Total(Summary):
    """The sum of several means.

    Attributes:
        parts: the means.
    """

    parts: tuple[Mean, ...]

    def value(self, table: InstanceTable) -> float | None:
        """The sum; None if a mean is undefined."""
        means = [part.value(table) for part in self.parts]
        defined = [mean for mean in means if mean is not None]
        return sum(defined) if len(defined) == len(means) else None

    def why_undefined(self, table: InstanceTable) -> str:
        """Why the first undefined mean is."""
        return next(part.why_undefined(table) for part in self.parts if part.value(table) is None)

    def weighted(self, table: InstanceTable) -> WeightedSums | None:
        """The sum of the weighted means."""
        averages = [part.average(table) for part in self.parts]
        if not all(average.count for average in averages):
            return None
        every = np.ones(len(table), dtype=np.bool_)
        columns = []
        for average in averages:
            among = every if average.among is None else average.among
            columns += [np.where(among, average.each, 0), among]
        return WeightedSums(columns, lambda sums, _: np.asarray((sums[::2] / sums[1::2]).sum(axis=0)))


@dataclass(frozen=True)
class Count(Summary):
    """The number of instances of which something holds.

    Attributes:
        among: reads which instances count; None for all.
    """

    among: Callable[[InstanceTable], Truths] | None = None

    def value(self, table: InstanceTable) -> int:
        """The number of instances that count."""
        return len(table) if self.among is None else int(self.among(table).sum())


@dataclass(frozen=True)
class Percentile(Summary):
    """A percentile over instances: the smallest value that at least ``percent`` of 100 instances do not exceed.

    Attributes:
        column: of the per-instance table.
        percent: which percentile.
    """

    column: str
    percent: int

    def value(self, table: InstanceTable) -> float:
        """The percentile."""
        return percentile(table[self.column], self.percent)


@dataclass(frozen=True)
class Maximum(Summary):
    """The largest value of a column of the per-instance table; no bootstrap gives it an interval."""

    column: str

    def value(self, table: InstanceTable) -> float:
        """The maximum."""
        return float(table[self.column].max())


@dataclass(frozen=True)
class Correlation(Summary):
    """Pearson's correlation, over instances, of a number of the reference with one of the candidate.

    Attributes:
        reference: reads the reference's.
        candidate: reads the candidate's.
        subject: what they are, for the sentence that says that one of them does not vary.
    """

    reference: Read
    candidate: Read
    subject: str

    def value(self, table: InstanceTable) -> float | None:
        """The correlation; None if either side does not vary."""
        return pearson(self.reference(table), self.candidate(table))

    def why_undefined(self, table: InstanceTable) -> str:
        """Which side does not vary."""
        sides = {"reference": self.reference(table), "candidate": self.candidate(table)}
        constant = " and the ".join(name for name, vector in sides.items() if _constant(vector))
        relation = "identical" if np.array_equal(sides["reference"], sides["candidate"]) else "not identical"
        return (
            f"{self.subject} does not vary over the {len(table)} instance(s) for the {constant}, so it correlates with "
            f"nothing; the two vectors are {relation}"
        )

    def weighted(self, table: InstanceTable) -> WeightedSums | None:
        """The correlation from moments about the means of all instances."""
        if self.value(table) is None:
            return None
        vectors = (self.reference(table), self.candidate(table))
        x, y = ((vector - vector.mean()) / (vector.std() or 1.0) for vector in vectors)

        def value(sums: Floats, size: Floats) -> Floats:
            mx, my, mxx, myy, mxy = sums / size
            vx, vy = mxx - mx**2, myy - my**2
            with np.errstate(divide="ignore", invalid="ignore"):
                # Below this, all instances that were drawn are alike but for rounding.
                r = np.where((vx > 1e-12) & (vy > 1e-12), (mxy - mx * my) / np.sqrt(vx * vy), np.nan)
            return np.asarray(np.clip(r, -1, 1), dtype=np.float64)

        return WeightedSums([x, y, x * x, y * y, x * y], value)


@dataclass(frozen=True)
class Calibration(Summary):
    """The expected calibration error, which resampling biases upwards.

    Attributes:
        confidence: column of the largest probability.
        right: reads whether the prediction is right.
    """

    confidence: str
    right: Callable[[InstanceTable], Truths]

    def value(self, table: InstanceTable) -> float:
        """The error."""
        return calibration_error(table[self.confidence], self.right(table))


def pearson(x: ArrayLike, y: ArrayLike) -> float | None:
    """Pearson's correlation of two vectors ``[N]``, from -1 to 1; None if either does not vary.

    For two vectors of truth values it is the phi coefficient (Matthews' correlation).

    Raises:
        ValueError: if the two are not vectors of one length above 0.
    """
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or len(a) == 0:
        raise ValueError(f"cannot correlate shapes {a.shape} and {b.shape}: give two vectors of one length, not empty")
    if _constant(a) or _constant(b):
        return None
    return float(np.clip(_standardised(a) @ _standardised(b), -1.0, 1.0))


def _standardised(vector: Floats) -> Floats:
    """The vector, not constant, with mean 0 and Euclidean norm 1."""
    centred = vector - vector.mean()
    centred /= np.abs(centred).max()  # so that squares of tiny numbers do not underflow
    return np.asarray(centred / np.linalg.norm(centred), dtype=np.float64)


def _constant(vector: NDArray[Any]) -> bool:
    """Whether all elements are equal; a variance of zero would miss it by rounding."""
    return bool((vector == vector[0]).all())


def percentile(values: Floats, percent: int) -> float:
    """The smallest value that at least ``percent`` of 100 of the values ``[N]`` do not exceed."""
    rank = -(-percent * len(values) // 100)
    return float(np.partition(values, rank - 1)[rank - 1])


def calibration_bins(confidence: Floats, bins: int = ECE_BINS) -> Integers:
    """The bin of each instance by its confidence ``[N]``: int64 ``[N]``, from 0.

    Bins are cut at quantiles, so that they hold the same number of instances, but for equal confidences, which
    share a bin.
    """
    ordered = np.sort(confidence)
    edges = ordered[np.arange(1, bins) * len(ordered) // bins]
    return np.asarray(np.searchsorted(edges, confidence, side="right"), dtype=np.int64)


def calibration_error(confidence: ArrayLike, right: ArrayLike, bins: int = ECE_BINS) -> float:
    """Expected calibration error: the mean over instances of ``|accuracy - mean confidence|`` of its bin.

    Bins of equal mass, as in Nguyen and O'Connor 2015 (arXiv 1508.05154); the name is Naeini, Cooper and
    Hauskrecht's (2015). It is above 0 by chance even for a calibrated model, the more so the fewer the instances.

    Args:
        confidence: the largest probability of each instance, ``[N]``.
        right: whether its class is the true one, ``[N]``.
        bins: their number.
    """
    values = np.asarray(confidence, dtype=np.float64)
    gap = np.asarray(right, dtype=np.float64) - values
    return float(np.abs(np.bincount(calibration_bins(values, bins), weights=gap)).sum() / len(gap))
