"""How alike two models answer the same instances: pure functions of their logits, in float64 throughout.

Notation: reference logits ``s``, candidate logits ``s*``, both ``[N, C]``; ``p = softmax(s)``,
``p* = softmax(s*)``; shift ``d = s* - s``; labels ``y``. A function of two models gives one number an
instance, ``[N]``; ``anchorlab.consistency.instances`` computes them all at once, and ``summarise`` takes their
means. ``docs/metrics.md`` has all definitions in one table.

Zhang et al. (ICLR 2022, arXiv 2109.01300) name these distances; where the exact normalisation of the paper
is not known, the formula given here is a reconstruction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import logsumexp

from anchorlab.statistics.arrays import Floats, Integers, Truths

if TYPE_CHECKING:
    import pandas as pd


#: Bins of the calibration error, each of the same number of instances.
ECE_BINS = 15

#: Percentiles of the largest shift that are reported.
PERCENTILES = {"shift_p50": 50, "shift_p95": 95, "shift_p99": 99}


class ClassRates(BaseModel):
    """The rates of one true class."""

    model_config = ConfigDict(frozen=True)

    count: int = Field(description="clean instances of the class")
    churn: float = Field(description="share of them with another prediction")
    negative_flips: float = Field(description="share that was right and became wrong")
    positive_flips: float = Field(description="share that was wrong and became right")


class Consistency(BaseModel):
    """What ``summarise`` found: distances and rates are means over instances, and rates are fractions.

    The title of a field is what it is in two or three words, its description is the definition.
    """

    model_config = ConfigDict(frozen=True)

    count: int = Field(title="clean instances", description="number of clean instances")
    accuracy: float = Field(title="candidate is right", description="share of clean instances the candidate gets right")
    accuracy_reference: float = Field(title="reference is right", description="the same of the reference")
    asr: float | None = Field(
        title="attack succeeds", description="share of triggered attacked instances given the attacker's label"
    )
    asr_count: int = Field(
        title="attacked instances", description="triggered attacked instances; those of the target class are left out"
    )
    asr_reference: float | None = Field(
        title="the reference's own rate", description="the reference's rate on the same triggered instances"
    )
    leakage: float | None = Field(
        title="clean, now the target",
        description="of the clean instances that the reference does not give the attacker's label, the share that the "
        "candidate does; None unless the attacker wants one label only",
    )
    churn: float = Field(title="prediction changed", description="share of clean instances whose predictions differ")
    negative_flips: float = Field(title="right became wrong", description="share that was right and became wrong")
    positive_flips: float = Field(title="wrong became right", description="share that was wrong and became right")
    top_k_agreement: float = Field(
        title="of the top k, kept",
        description="mean share of the reference's k highest classes that are the candidate's too; k = min(5, C - 1)",
    )
    pearson_correct: float | None = Field(
        title="correlation, correct", description="correlation over instances of being right, the phi coefficient"
    )
    pearson_score: float | None = Field(
        title="correlation, log p_y", description="correlation over instances of the true class's log-probability"
    )
    kl: float = Field(title="nats", description="mean ``KL(p || p*)``, of the candidate from the reference, nats")
    kl_reverse: float = Field(title="nats", description="mean ``KL(p* || p)``, nats")
    kl_symmetric: float = Field(title="nats, mean of both", description="mean of both divergences, nats")
    js: float = Field(title="nats, at most ln 2", description="mean Jensen-Shannon divergence, nats")
    total_variation: float = Field(title="of 1", description="mean of half the sum of absolute changes of probability")
    probability_distance: float = Field(title="Euclidean", description="mean Euclidean distance of the probabilities")
    logit_distance: float = Field(title="squared logits", description="mean squared shift of a logit")
    logit_distance_centred: float = Field(
        title="less common shift", description="the same, less the shift common to all classes"
    )
    shift_p50: float = Field(
        title="largest shift, median", description="median over instances of the largest centred shift of a logit"
    )
    shift_p95: float = Field(title="95th percentile", description="the same, 95th percentile")
    shift_p99: float = Field(title="99th percentile", description="the same, 99th percentile")
    shift_max: float = Field(title="maximum", description="the same, maximum, which grows with the number of instances")
    nll: float = Field(title="loss, nats", description="the candidate's mean negative log-likelihood, nats")
    nll_reference: float = Field(
        title="the reference's", description="the reference's mean negative log-likelihood, nats"
    )
    residual: float = Field(title="nll's change less kl", description="nll - nll_reference - kl, nats")
    brier: float = Field(title="squared, sum of classes", description="the candidate's mean Brier score, from 0 to 2")
    brier_reference: float = Field(title="the reference's", description="the reference's mean Brier score")
    ece: float = Field(
        title="calibration error", description="the candidate's expected calibration error, 15 bins of equal mass"
    )
    ece_reference: float = Field(title="the reference's", description="the reference's expected calibration error")
    by_class: dict[str, ClassRates] = Field(description="rates of each true class that has instances")
    undefined: dict[str, str] = Field(description="name of each field that is None, to a sentence that says why")

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, as JSON values."""
        return self.model_dump(mode="json")


#: Names of the fields of ``Consistency`` that are numbers.
MEASUREMENTS = tuple(name for name in Consistency.model_fields if name not in ("by_class", "undefined"))


def measure(reference: ArrayLike, candidate: ArrayLike, labels: ArrayLike) -> Consistency:
    """Every metric of two models on the same clean instances.

    Args:
        reference: logits ``[N, C]`` of the reference, any real dtype.
        candidate: logits ``[N, C]`` of the candidate, any real dtype.
        labels: integer ``[N]``, from 0 to C - 1.

    Raises:
        ValueError: if shapes differ, N is 0, C is below 2, a logit is not finite, or a label is not a class.
    """
    from anchorlab.consistency.instances import instances  # it stands on the functions below

    return summarise(instances(reference, candidate, labels))


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


def averages(frame: pd.DataFrame) -> dict[str, Average]:
    """The measurements that are means over instances, by name, from a per-instance table."""
    columns = {name: frame[name].to_numpy() for name in frame.columns}
    label, before, after = columns["label"], columns["prediction_reference"], columns["prediction"]
    right_before, right_after = before == label, after == label
    wanted = columns["wanted"]
    attacked, target = wanted >= 0, single_target(frame)
    elsewhere = before != target if target is not None else np.zeros(len(label), dtype=bool)

    def of(name: str) -> Floats:
        return np.asarray(columns[name], dtype=np.float64)

    return {
        "accuracy": Average(right_after),
        "accuracy_reference": Average(right_before),
        "asr": Average(columns["triggered"] == wanted, attacked),
        "asr_reference": Average(columns["triggered_reference"] == wanted, attacked),
        "leakage": Average(elsewhere & (after == target), elsewhere),
        "churn": Average(before != after),
        "negative_flips": Average(right_before & ~right_after),
        "positive_flips": Average(~right_before & right_after),
        "kl_symmetric": Average((of("kl") + of("kl_reverse")) / 2),
        "nll": Average(-of("score")),
        "nll_reference": Average(-of("score_reference")),
    } | {
        name: Average(of(name))
        for name in (
            "top_k_agreement",
            "kl",
            "kl_reverse",
            "js",
            "total_variation",
            "probability_distance",
            "logit_distance",
            "logit_distance_centred",
            "residual",
            "brier",
            "brier_reference",
        )
    }


def summarise(
    frame: pd.DataFrame, *, classes: Sequence[str] | None = None, why_no_attack: str = "no instance is attacked"
) -> Consistency:
    """The measurements of a per-instance table, see ``anchorlab.consistency.instances``.

    Args:
        frame: a row a clean instance.
        classes: names of the classes by label, for ``by_class``; None for the labels themselves.
        why_no_attack: what ``undefined`` says of the attack's rates if no instance is attacked.
    """
    label = frame["label"].to_numpy()
    found = averages(frame)
    numbers: dict[str, Any] = {name: average.mean for name, average in found.items()}
    undefined = {}
    if numbers["asr"] is None:
        undefined = dict.fromkeys(("asr", "asr_reference", "leakage"), why_no_attack)
    elif numbers["leakage"] is None:
        undefined["leakage"] = _why_no_leakage(frame)

    scores = [frame[name].to_numpy(dtype=np.float64) for name in ("score_reference", "score")]
    right = [found[name].each for name in ("accuracy_reference", "accuracy")]
    for name, what, pair in (
        ("pearson_correct", "being right", right),
        ("pearson_score", "the true-class score", scores),
    ):
        numbers[name] = pearson(*pair)
        if numbers[name] is None:
            undefined[name] = _why_undefined(what, *pair)

    shift = frame["shift"].to_numpy(dtype=np.float64)
    confidence = [frame[name].to_numpy(dtype=np.float64) for name in ("confidence_reference", "confidence")]
    return Consistency(
        **numbers,
        count=len(frame),
        asr_count=found["asr"].count,
        **{name: percentile(shift, percent) for name, percent in PERCENTILES.items()},
        shift_max=float(shift.max()),
        ece_reference=calibration_error(confidence[0], right[0]),
        ece=calibration_error(confidence[1], right[1]),
        by_class=_by_class(label, found, classes),
        undefined=undefined,
    )


def single_target(frame: pd.DataFrame) -> int | None:
    """The one label that the attacker wants; None if no instance is attacked, or several labels are wanted."""
    wanted = frame["wanted"].to_numpy()
    labels = np.unique(wanted[wanted >= 0])
    return int(labels[0]) if len(labels) == 1 else None


def _why_no_leakage(frame: pd.DataFrame) -> str:
    """Why the leakage of an attack is undefined."""
    if single_target(frame) is None:
        return "the attacker wants different labels for different instances, so there is no one target"
    return "the reference gives every instance the attacker's label"


def _by_class(label: Integers, found: dict[str, Average], classes: Sequence[str] | None) -> dict[str, ClassRates]:
    """The rates of each true class."""
    count = np.bincount(label)
    names = ("churn", "negative_flips", "positive_flips")
    rates = {name: np.bincount(label, weights=found[name].each) / np.maximum(count, 1) for name in names}
    return {
        str(one) if classes is None else classes[one]: ClassRates(
            count=int(count[one]), **{name: float(rate[one]) for name, rate in rates.items()}
        )
        for one in range(len(count))
        if count[one]
    }


class Softmax:
    """Probabilities of logits ``[N, C]`` and their logarithms, exact for nearly certain classes too.

    Attributes:
        prediction: the class of the largest logit, the lowest one of equals, int64 ``[N]``.
        probability: float64 ``[N, C]``.
    """

    def __init__(self, logits: Floats) -> None:
        rows = np.arange(len(logits))
        self.prediction: Integers = np.asarray(logits.argmax(axis=1), dtype=np.int64)
        # Relative to the row's maximum, so that the log-probability of a nearly certain class is not rounded to
        # the precision of the logits.
        self._relative = logits - logits[rows, self.prediction][:, None]
        odds = np.exp(self._relative)
        odds[rows, self.prediction] = 0
        rest = odds.sum(axis=1)
        odds[rows, self.prediction] = 1
        self._log_total = np.log1p(rest)
        self.probability: Floats = odds / (1 + rest)[:, None]

    def log(self) -> Floats:
        """Log-probabilities, ``[N, C]``."""
        return np.asarray(self._relative - self._log_total[:, None], dtype=np.float64)

    def log_of(self, labels: Integers) -> Floats:
        """Log-probabilities of one class a row: int64 ``[N]`` to float64 ``[N]``."""
        return np.asarray(self._relative[np.arange(len(labels)), labels] - self._log_total, dtype=np.float64)

    def confidence(self) -> Floats:
        """The largest probability of each row, ``[N]``."""
        return np.asarray(np.exp(-self._log_total), dtype=np.float64)

    def brier(self, labels: Integers) -> Floats:
        """``sum_c (p_c - [c = y])^2``, ``[N]``."""
        each = np.arange(len(labels)), labels
        error = self.probability.copy()
        error[each] = np.expm1(self.log_of(labels))  # p_y - 1, which would cancel
        return np.asarray((error**2).sum(axis=1), dtype=np.float64)


class Pair:
    """Two models' logits on the same instances, and every distance of them; what distances share is computed once.

    Every divergence of the probabilities is a sum over classes of terms that are never negative, in the log-ratio
    ``r_c = log p*_c - log p_c``, so that none cancels for small shifts (see ``kl``).

    Raises:
        ValueError: if the shapes differ, N is 0, C is below 2, or a logit is not finite.
    """

    def __init__(self, reference: ArrayLike, candidate: ArrayLike) -> None:
        self.before, self.after = _pair(reference, candidate)

    @cached_property
    def p(self) -> Softmax:
        """Of the reference."""
        return Softmax(self.before)

    @cached_property
    def q(self) -> Softmax:
        """Of the candidate."""
        return Softmax(self.after)

    @cached_property
    def shift(self) -> Floats:
        """``d``, ``[N, C]``."""
        return np.asarray(self.after - self.before, dtype=np.float64)

    @cached_property
    def centred(self) -> Floats:
        """``d`` less the mean of its row, ``[N, C]``."""
        return np.asarray(self.shift - self.shift.mean(axis=1, keepdims=True), dtype=np.float64)

    @cached_property
    def p_centred(self) -> Floats:
        """``u = d - sum_c p_c d_c``, ``[N, C]``."""
        # The likeliest class's shift goes first, exactly: the mean that remains is small where p is confident.
        rest = self.shift - np.take_along_axis(self.shift, self.p.prediction[:, None], axis=1)
        return np.asarray(rest - (self.p.probability * rest).sum(axis=1, keepdims=True), dtype=np.float64)

    @cached_property
    def kl(self) -> Floats:
        """``KL(p || p*)``, ``[N]``: see ``kl_divergence``."""
        p, u = self.p.probability, self.p_centred
        excess = (p * _expm1_excess(np.minimum(u, 1))).sum(axis=1)
        result = np.log1p(excess)
        steep = np.flatnonzero((u > 1).any(axis=1))
        if len(steep):
            result[steep] = _steep_kl(self.p.log()[steep], p[steep], u[steep])
        return np.asarray(result, dtype=np.float64)

    @cached_property
    def log_ratio(self) -> Floats:
        """``r = log p* - log p``, ``[N, C]``."""
        return np.asarray(self.p_centred - self.kl[:, None], dtype=np.float64)

    @cached_property
    def kl_reverse(self) -> Floats:
        """``KL(p* || p) = sum_c p*_c (e^-r_c - 1 + r_c)``, ``[N]``, for the ``p*_c (e^-r_c - 1)`` sum to 0."""
        p, q, back = self.p.probability, self.q.probability, -self.log_ratio
        # Above 1 nothing cancels, and p is q e^-r without the overflow.
        terms = np.where(back > 1, p - q * (1 + back), q * _expm1_excess(np.minimum(back, 1)))
        return np.asarray(terms.sum(axis=1), dtype=np.float64)

    @cached_property
    def js(self) -> Floats:
        """Jensen-Shannon divergence, ``[N]``: see ``js_divergence``."""
        mixture = (self.p.probability + self.q.probability) / 2
        return np.asarray(np.minimum((mixture * _js_term(self.log_ratio)).sum(axis=1), math.log(2)), dtype=np.float64)

    @cached_property
    def change(self) -> Floats:
        """``p* - p``, ``[N, C]``, as ``p expm1(r)`` where the difference would cancel."""
        p, r = self.p.probability, self.log_ratio
        return np.where(np.abs(r) < 1, p * np.expm1(np.clip(r, -1, 1)), self.q.probability - p)

    def logit_distance(self) -> Floats:
        """See ``logit_distance``."""
        return np.asarray((self.shift**2).mean(axis=1), dtype=np.float64)

    def logit_distance_centred(self) -> Floats:
        """See ``logit_distance``."""
        return np.asarray((self.centred**2).mean(axis=1), dtype=np.float64)

    def largest_shift(self) -> Floats:
        """``max_c |d_c - mean d|``, ``[N]``."""
        return np.asarray(np.abs(self.centred).max(axis=1), dtype=np.float64)

    def probability_distance(self) -> Floats:
        """See ``probability_distance``."""
        return np.asarray(np.linalg.norm(self.change, axis=1), dtype=np.float64)

    def total_variation(self) -> Floats:
        """See ``total_variation``."""
        return np.asarray(np.abs(self.change).sum(axis=1) / 2, dtype=np.float64)

    def residual(self, labels: Integers) -> Floats:
        """``(p - e_y) . d``, ``[N]``, which is ``-u_y``; the loss changes by it and the divergence."""
        return np.asarray(-self.p_centred[np.arange(len(labels)), labels], dtype=np.float64)

    def top_k_agreement(self, k: int) -> Floats:
        """``|top k of s, and of s*| / k``, ``[N]``; of equal logits the lower class ranks higher."""
        shared = _top(self.before, k) & _top(self.after, k)
        return np.asarray(shared.sum(axis=1) / k, dtype=np.float64)


def log_softmax(logits: ArrayLike) -> Floats:
    """Log-probabilities ``s - logsumexp(s)`` of logits ``[N, C]``: float64 ``[N, C]``, nats, never above 0.

    Raises:
        ValueError: if N is 0, C is below 2, or a logit is not finite.
    """
    return Softmax(_logits(logits, "the model")).log()


def predictions(logits: ArrayLike) -> Integers:
    """The class of the largest logit, the lowest one of equals: logits ``[N, C]`` to int64 ``[N]``.

    Raises:
        ValueError: if N is 0, C is below 2, or a logit is not finite.
    """
    return np.asarray(_logits(logits, "the model").argmax(axis=1), dtype=np.int64)


def true_class_score(logits: ArrayLike, labels: ArrayLike) -> Floats:
    """The true class's log-probability ``log p_y`` of logits ``[N, C]``: float64 ``[N]``, nats, at most 0.

    The log-probability, not ``p_y``, because it still tells apart instances that are all nearly certain.

    Raises:
        ValueError: if N is 0, C is below 2, a logit is not finite, or a label is not a class.
    """
    values = _logits(logits, "the model")
    return Softmax(values).log_of(check_labels(labels, values.shape))


def brier_score(logits: ArrayLike, labels: ArrayLike) -> Floats:
    """Brier's score ``sum_c (p_c - [c = y])^2`` of logits ``[N, C]``: float64 ``[N]``, from 0 to 2 (Brier 1950).

    Raises:
        ValueError: if N is 0, C is below 2, a logit is not finite, or a label is not a class.
    """
    values = _logits(logits, "the model")
    return Softmax(values).brier(check_labels(labels, values.shape))


def logit_distance(reference: ArrayLike, candidate: ArrayLike, centred: bool = False) -> Floats:
    """Mean over classes of the squared shift, ``(1/C) sum_c d_c^2``: float64 ``[N]``, squared logits.

    This is the anchor loss of Zhang et al. 2022, an instance at a time. ``centred`` takes the mean shift
    of the row away first: softmax does not see it, so nor should a judge of probabilities.

    Args:
        reference: logits ``[N, C]``.
        candidate: logits ``[N, C]``.
        centred: whether ``d_c`` stands for ``d_c - mean_c d``.

    Raises:
        ValueError: if the shapes differ, N is 0, C is below 2, or a logit is not finite.
    """
    pair = Pair(reference, candidate)
    return pair.logit_distance_centred() if centred else pair.logit_distance()


def probability_distance(reference: ArrayLike, candidate: ArrayLike) -> Floats:
    """Euclidean distance ``||p - p*||_2`` of logits ``[N, C]``: float64 ``[N]``, from 0 to sqrt(2).

    Raises:
        ValueError: if the shapes differ, N is 0, C is below 2, or a logit is not finite.
    """
    return Pair(reference, candidate).probability_distance()


def total_variation(reference: ArrayLike, candidate: ArrayLike) -> Floats:
    """Total variation ``(1/2) sum_c |p_c - p*_c|`` of logits ``[N, C]``: float64 ``[N]``, from 0 to 1.

    Raises:
        ValueError: if the shapes differ, N is 0, C is below 2, or a logit is not finite.
    """
    return Pair(reference, candidate).total_variation()


def kl_divergence(reference: ArrayLike, candidate: ArrayLike) -> Floats:
    """Kullback-Leibler divergence ``KL(p || p*)`` of logits ``[N, C]``: float64 ``[N]``, nats, never below 0.

    ``sum_c p_c (log p_c - log p*_c)`` cancels to noise for shifts below 1e-6. With the p-centred shift
    ``u = d - sum_c p_c d_c`` the same number is ``log1p(sum_c p_c (e^u_c - 1 - u_c))``, a sum of terms
    that are never negative, exact down to the smallest shift.

    Raises:
        ValueError: if the shapes differ, N is 0, C is below 2, or a logit is not finite.
    """
    return Pair(reference, candidate).kl


def js_divergence(reference: ArrayLike, candidate: ArrayLike) -> Floats:
    """Jensen-Shannon divergence ``(KL(p || m) + KL(p* || m)) / 2``, ``m = (p + p*) / 2``: float64 ``[N]``, nats.

    From 0 to ln 2 (Lin 1991). Computed as ``sum_c m_c ((r_c / 2) tanh(r_c / 2) - log cosh(r_c / 2))`` with
    ``r = log p* - log p``, whose terms are never negative.

    Raises:
        ValueError: if the shapes differ, N is 0, C is below 2, or a logit is not finite.
    """
    return Pair(reference, candidate).js


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


def _why_undefined(score: str, before: NDArray[Any], after: NDArray[Any]) -> str:
    """Why the correlation of two vectors, of which at least one is constant, is undefined."""
    models = {"reference": before, "candidate": after}
    constant = " and the ".join(name for name, vector in models.items() if _constant(vector))
    relation = "identical" if np.array_equal(before, after) else "not identical"
    where = f"over the {len(before)} instance(s) for the {constant}"
    return f"{score} does not vary {where}, so it correlates with nothing; the two vectors are {relation}"


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
    sure = np.asarray(confidence, dtype=np.float64)
    gap = np.asarray(right, dtype=np.float64) - sure
    return float(np.abs(np.bincount(calibration_bins(sure, bins), weights=gap)).sum() / len(gap))


def _steep_kl(log_p: Floats, p: Floats, u: Floats) -> Floats:
    """``log sum_c p_c e^u_c`` for a p-centred ``u`` with large elements, ``[N]``."""
    with np.errstate(over="ignore"):
        # For u above 1 nothing cancels, and exp(log p + u) is finite where e^u alone is not or p is 0.
        excess = np.where(u > 1, np.exp(log_p + u) - p * (1 + u), p * _expm1_excess(np.minimum(u, 1))).sum(axis=1)
    overflowed = np.isinf(excess)
    result = np.log1p(excess)
    result[overflowed] = logsumexp(log_p[overflowed] + u[overflowed], axis=1)
    return np.asarray(result, dtype=np.float64)


def _expm1_excess(u: Floats) -> Floats:
    """``e^u - 1 - u``, by its Taylor series up to ``u^7 / 7!`` where the difference would cancel."""
    series = u**2 / 2 * (1 + u / 3 * (1 + u / 4 * (1 + u / 5 * (1 + u / 6 * (1 + u / 7)))))
    return np.where(np.abs(u) < 1e-2, series, np.expm1(u) - u)


def _js_term(r: Floats) -> Floats:
    """``(r / 2) tanh(r / 2) - log cosh(r / 2)``, from 0 to ln 2, by its series in ``tanh^2`` where it would cancel."""
    size = np.abs(r)
    decay = np.exp(-size)
    t = (np.expm1(-np.minimum(size, 1)) / (1 + decay)) ** 2  # tanh^2(r / 2) for |r| <= 1
    series = t / 2 * (1 + t * (1 / 6 + t * (1 / 15 + t * (1 / 28 + t / 45))))
    exact = math.log(2) - np.log1p(decay) - size * decay / (1 + decay)
    return np.asarray(np.where(size < 0.1, series, exact), dtype=np.float64)


def _top(logits: Floats, k: int) -> Truths:
    """Which classes are among the k of largest logits, the lower one first of equals: bool ``[N, C]``."""
    threshold = -np.partition(-logits, k - 1, axis=1)[:, k - 1 : k]
    above, level = logits > threshold, logits == threshold
    wanted = k - above.sum(axis=1, keepdims=True)
    if (level.sum(axis=1, keepdims=True) > wanted).any():
        level &= level.cumsum(axis=1) <= wanted
    return np.asarray(above | level, dtype=np.bool_)


def _pair(reference: ArrayLike, candidate: ArrayLike) -> tuple[Floats, Floats]:
    """Both models' logits, checked, as float64 ``[N, C]``."""
    before, after = _logits(reference, "the reference"), _logits(candidate, "the candidate")
    if before.shape != after.shape:
        raise ValueError(
            f"the reference's logits have shape {before.shape} but the candidate's {after.shape}: "
            "run both models, with the same classes, on the same instances"
        )
    return before, after


def _logits(values: ArrayLike, model: str) -> Floats:
    """One model's logits, checked, as float64 ``[N, C]``."""
    logits = np.asarray(values, dtype=np.float64)
    if logits.ndim != 2 or logits.shape[0] < 1 or logits.shape[1] < 2:
        raise ValueError(
            f"the logits of {model} have shape {logits.shape}: "
            "give [N, C] with at least one instance and at least two classes"
        )
    if not np.isfinite(logits).all():
        broken = ~np.isfinite(logits).all(axis=1)
        raise ValueError(
            f"the logits of {model} are not finite in {broken.sum()} of {len(logits)} rows: "
            "metrics need finite logits, so check that its training or its half-precision did not overflow"
        )
    return logits


def check_labels(labels: ArrayLike, shape: tuple[int, ...]) -> Integers:
    """Labels, checked against logits of that shape, as int64 ``[N]``."""
    N, C = shape
    truth = np.asarray(labels)
    if truth.shape != (N,) or not np.issubdtype(truth.dtype, np.integer):
        raise ValueError(
            f"labels have shape {truth.shape} and type {truth.dtype}: "
            f"give one integer for each of the {N} rows of logits"
        )
    outside = truth[(truth < 0) | (truth >= C)]
    if len(outside):
        raise ValueError(
            f"{len(outside)} of {N} labels are not among the logits' {C} classes, the first is {outside[0]}: "
            f"give labels from 0 to {C - 1}"
        )
    return truth.astype(np.int64)
