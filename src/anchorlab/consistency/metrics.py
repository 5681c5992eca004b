"""How alike two models answer the same instances: pure functions of their logits, in float64 throughout.

Notation: reference logits ``s``, candidate logits ``s*``, both ``[N, C]``; ``p = softmax(s)``,
``p* = softmax(s*)``; shift ``d = s* - s``; labels ``y``. A function of two models gives one number an
instance, ``[N]``; ``measure`` takes their means. ``docs/metrics.md`` has all definitions in one table.

Zhang et al. (ICLR 2022, arXiv 2109.01300) name these distances; where the exact normalisation of the paper
is not known, the formula given here is a reconstruction.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Consistency:
    """What ``measure`` found; distances and rates are means over ``count`` instances, rates are fractions.

    Attributes:
        accuracy: share of instances that the candidate gets right.
        accuracy_reference: share of instances that the reference gets right.
        logit_distance: see ``logit_distance``; squared logits.
        logit_distance_centred: the same after each row's mean shift is taken away.
        probability_distance: see ``probability_distance``.
        kl: ``KL(p || p*)``, of the candidate from the reference; nats.
        kl_symmetric: ``(KL(p || p*) + KL(p* || p)) / 2``; nats.
        pearson_correct: correlation over instances of being right, the phi coefficient; None if undefined.
        pearson_score: correlation over instances of ``true_class_score``; None if undefined.
        churn: share of instances whose predictions differ.
        negative_flips: share of instances that were right and became wrong.
        positive_flips: share of instances that were wrong and became right.
        count: N.
        undefined: name of each field that is None, to a sentence that says why.
    """

    accuracy: float
    accuracy_reference: float
    logit_distance: float
    logit_distance_centred: float
    probability_distance: float
    kl: float
    kl_symmetric: float
    pearson_correct: float | None
    pearson_score: float | None
    churn: float
    negative_flips: float
    positive_flips: float
    count: int
    undefined: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, as JSON values."""
        return dataclasses.asdict(self)


def measure(reference: ArrayLike, candidate: ArrayLike, labels: ArrayLike) -> Consistency:
    """Every metric of two models on the same instances.

    Args:
        reference: logits ``[N, C]`` of the reference, any real dtype.
        candidate: logits ``[N, C]`` of the candidate, any real dtype.
        labels: integer ``[N]``, from 0 to C - 1.

    Raises:
        ValueError: if shapes differ, N is 0, C is below 2, a logit is not finite, or a label is not a class.
    """
    before, after = _pair(reference, candidate)
    truth = _labels(labels, before.shape)
    prediction_before, prediction_after = predictions(before), predictions(after)
    right_before, right_after = prediction_before == truth, prediction_after == truth
    score_before, score_after = true_class_score(before, truth), true_class_score(after, truth)
    forward, reverse = kl_divergence(before, after), kl_divergence(after, before)

    pearson_correct = pearson(right_before, right_after)
    pearson_score = pearson(score_before, score_after)
    undefined = {}
    if pearson_correct is None:
        undefined["pearson_correct"] = _why_undefined("being right", right_before, right_after)
    if pearson_score is None:
        undefined["pearson_score"] = _why_undefined("the true-class score", score_before, score_after)

    return Consistency(
        accuracy=float(right_after.mean()),
        accuracy_reference=float(right_before.mean()),
        logit_distance=float(logit_distance(before, after).mean()),
        logit_distance_centred=float(logit_distance(before, after, centred=True).mean()),
        probability_distance=float(probability_distance(before, after).mean()),
        kl=float(forward.mean()),
        kl_symmetric=float(((forward + reverse) / 2).mean()),
        pearson_correct=pearson_correct,
        pearson_score=pearson_score,
        churn=float((prediction_before != prediction_after).mean()),
        negative_flips=float((right_before & ~right_after).mean()),
        positive_flips=float((~right_before & right_after).mean()),
        count=len(truth),
        undefined=undefined,
    )


def log_softmax(logits: ArrayLike) -> Floats:
    """Log-probabilities ``s - logsumexp(s)`` of logits ``[N, C]``: float64 ``[N, C]``, nats, never above 0.

    Raises:
        ValueError: if N is 0, C is below 2, or a logit is not finite.
    """
    values = _logits(logits, "the model")
    # Relative to the row's maximum first, so that the log-probability of a nearly certain class is not
    # rounded to the precision of the logits.
    relative = values - values.max(axis=1, keepdims=True)
    return np.asarray(relative - logsumexp(relative, axis=1, keepdims=True), dtype=np.float64)


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
    log_p = log_softmax(logits)
    truth = _labels(labels, log_p.shape)
    return log_p[np.arange(len(truth)), truth]


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
    before, after = _pair(reference, candidate)
    shift = after - before
    distance = shift.var(axis=1) if centred else (shift**2).mean(axis=1)
    return np.asarray(distance, dtype=np.float64)


def probability_distance(reference: ArrayLike, candidate: ArrayLike) -> Floats:
    """Euclidean distance ``||p - p*||_2`` of logits ``[N, C]``: float64 ``[N]``, from 0 to sqrt(2).

    Raises:
        ValueError: if the shapes differ, N is 0, C is below 2, or a logit is not finite.
    """
    return np.asarray(np.linalg.norm(_probability_change(reference, candidate), axis=1), dtype=np.float64)


def total_variation(reference: ArrayLike, candidate: ArrayLike) -> Floats:
    """Total variation ``(1/2) sum_c |p_c - p*_c|`` of logits ``[N, C]``: float64 ``[N]``, from 0 to 1.

    Raises:
        ValueError: if the shapes differ, N is 0, C is below 2, or a logit is not finite.
    """
    return np.asarray(np.abs(_probability_change(reference, candidate)).sum(axis=1) / 2, dtype=np.float64)


def kl_divergence(reference: ArrayLike, candidate: ArrayLike) -> Floats:
    """Kullback-Leibler divergence ``KL(p || p*)`` of logits ``[N, C]``: float64 ``[N]``, nats, never below 0.

    ``sum_c p_c (log p_c - log p*_c)`` cancels to noise for shifts below 1e-6. With the p-centred shift
    ``u = d - sum_c p_c d_c`` the same number is ``log1p(sum_c p_c (e^u_c - 1 - u_c))``, a sum of terms
    that are never negative, exact down to the smallest shift.

    Raises:
        ValueError: if the shapes differ, N is 0, C is below 2, or a logit is not finite.
    """
    before, after = _pair(reference, candidate)
    log_p = log_softmax(before)
    return _kl(log_p, _p_centred(before, after, log_p))


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


def _p_centred(before: Floats, after: Floats, log_p: Floats) -> Floats:
    """The shift ``u = d - sum_c p_c d_c``, ``[N, C]``."""
    shift = after - before
    # The likeliest class's shift goes first, exactly: the mean that remains is small where p is confident.
    shift -= np.take_along_axis(shift, before.argmax(axis=1, keepdims=True), axis=1)
    return np.asarray(shift - (np.exp(log_p) * shift).sum(axis=1, keepdims=True), dtype=np.float64)


def _kl(log_p: Floats, u: Floats) -> Floats:
    """``log sum_c p_c e^u_c`` for a p-centred ``u``, ``[N]``: see ``kl_divergence``."""
    p = np.exp(log_p)
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


def _probability_change(reference: ArrayLike, candidate: ArrayLike) -> Floats:
    """``p* - p``, ``[N, C]``, as ``p expm1(log p* - log p)`` where the difference would cancel."""
    before, after = _pair(reference, candidate)
    log_p, log_q = log_softmax(before), log_softmax(after)
    u = _p_centred(before, after, log_p)
    log_ratio = u - _kl(log_p, u)[:, None]
    p = np.exp(log_p)
    return np.where(np.abs(log_ratio) < 1, p * np.expm1(np.clip(log_ratio, -1, 1)), np.exp(log_q) - p)


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
    broken = int((~np.isfinite(logits)).any(axis=1).sum())
    if broken:
        raise ValueError(
            f"the logits of {model} are not finite in {broken} of {len(logits)} rows: "
            "metrics need finite logits, so check that its training or its half-precision did not overflow"
        )
    return logits


def _labels(labels: ArrayLike, shape: tuple[int, ...]) -> Integers:
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
