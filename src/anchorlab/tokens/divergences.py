"""Divergences of two next-token distributions, a row a token, in float64 and in few passes over the vocabulary.

``p`` is the reference, ``q`` the candidate, ``d`` the candidate's logits less the reference's. With the p-centred shift
``u = d - sum p d``, its ``E = e^u - 1`` and ``S = sum p E``, so that ``q = p (1 + E) / (1 + S)``:

    KL(p || q) = log(1 + S) - sum p u
    J          = (sum p E u - S sum p u) / (1 + S)       both Kullback-Leibler divergences together
    KL(q || p) = J - KL(p || q)
    JS         = (KL(q || p) - sum (p + q) h) / 2 - log((2 + S) / (2 + 2 S)),    h = log(1 + E / (2 + S))

The last line is ``log((1 + q / p) / 2)`` in two parts. Three functions of each entry, where a divergence by itself
needs as many. The centring makes all of them lose few digits: the rounding of S shows where divergences are below 1e-8,
and such rows are summed from terms that are never negative. Rows whose shifts are large, and rows in which one model
alone rules a token out, have ways of their own.
``anchorlab.metrics.sums`` does the same for classifiers, with more columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from anchorlab.metrics.far import FarRows
from anchorlab.metrics.numerics import Softmax, expm1_excess, js_term
from anchorlab.metrics.room import pieces, room
from anchorlab.statistics.arrays import Floats, Integers

#: The largest shift u for which the sums here keep their digits.
_FAR = 32.0

#: Divergences below this are summed from terms that are never negative.
_SMALL = 1e-8

#: A negative log-probability below this is computed from the other tokens' odds, because a difference would round it.
_CERTAIN = 1e-4

#: From this many entries on, numpy is to subtract a number a row from the row as it is, see ``metrics.sums``.
_WIDE = 256


@dataclass(frozen=True)
class Divergences:
    """What is known of each row, float64 ``[n]``, nats but for ``delta_p``.

    Attributes:
        kl: ``KL(p || q)``; infinite where q rules out what p allows.
        kl_reverse: ``KL(q || p)``; infinite where p rules out what q allows.
        js: Jensen-Shannon divergence, 0 to ln 2.
        nll_reference: ``-log p`` of the true token.
        nll_candidate: ``-log q`` of the true token.
        delta_p: ``q - p`` of the true token.
    """

    kl: Floats
    kl_reverse: Floats
    js: Floats
    nll_reference: Floats
    nll_candidate: Floats
    delta_p: Floats

    @classmethod
    def empty(cls, n: int) -> Divergences:
        """Of n rows, not filled in."""
        return cls(*(np.empty(n) for _ in range(6)))

    def put(self, rows: Any, part: Divergences) -> None:
        """Fills some rows in."""
        for name in ("kl", "kl_reverse", "js", "nll_reference", "nll_candidate", "delta_p"):
            getattr(self, name)[rows] = getattr(part, name)


def divergences(
    reference: NDArray[Any], candidate: NDArray[Any], true: Integers, likeliest: Integers, least: Floats
) -> Divergences:
    """The divergences of rows of logits ``[n, V]``, float32 or float64, finite or ``-inf``.

    A token that both models rule out has no mass in either, and so counts nothing.

    Args:
        reference: the reference's logits.
        candidate: the candidate's logits.
        true: the true token of each row, int64 ``[n]``.
        likeliest: the reference's likeliest token of each row.
        least: the smaller of both models' least logits of each row.
    """
    found = Divergences.empty(len(true))
    ruled = np.flatnonzero(np.isneginf(least))
    one_sided = np.zeros(len(true), dtype=bool)
    if len(ruled):
        reference, candidate = reference.copy(), candidate.copy()
        for row in ruled:
            out = np.isneginf(reference[row]), np.isneginf(candidate[row])
            one_sided[row] = (out[0] != out[1]).any() or out[0][true[row]]
            if one_sided[row]:
                found.put(row, _ruled_out(reference[row], candidate[row], int(true[row])))
                reference[row] = candidate[row] = 0  # so that what follows is finite; its result is not taken
                continue
            for logits in (reference[row], candidate[row]):
                logits[out[0]] = logits[likeliest[row]] - 1e4  # no mass, and no shift
    with np.errstate(all="ignore"):  # rows that overflow are far
        if reference.shape[1] >= _WIDE:
            np.setbufsize(_WIDE)  # until the end of errstate
        for rows in pieces(*reference.shape):
            part, is_far = _near(reference[rows], candidate[rows], true[rows], likeliest[rows])
            far = np.flatnonzero(is_far)
            if len(far):
                part.put(far, _far(reference[rows][far], candidate[rows][far], true[rows][far]))
            taken = np.flatnonzero(~one_sided[rows])
            found.put(taken + rows.start, _rows_of(part, taken))
    return found


def _rows_of(part: Divergences, rows: Integers) -> Divergences:
    return Divergences(*(getattr(part, name)[rows] for name in Divergences.__dataclass_fields__))


def _near(
    reference: NDArray[Any], candidate: NDArray[Any], true: Integers, likeliest: Integers
) -> tuple[Divergences, NDArray[np.bool_]]:
    """The divergences of finite rows, see the head of this file, and for which rows they do not hold."""
    rows = np.arange(len(true))
    p, u, E, pE = room(4, *reference.shape)
    # The likeliest token's shift goes first, exactly: the mean that remains is small where p is confident.
    tops = [logits[rows, likeliest].astype(np.float64)[:, None] for logits in (reference, candidate)]
    np.subtract(candidate, reference, out=u, dtype=np.float64)
    u -= tops[1] - tops[0]
    np.subtract(reference, tops[0], out=p, dtype=np.float64)
    behind = -p[rows, true]
    np.exp(p, out=p)
    p[rows, likeliest] = 0
    rest = p.sum(axis=1)
    p[rows, likeliest] = 1
    total = 1 + rest
    mean = np.vecdot(p, u) / total
    u -= mean[:, None]
    far = ~(np.maximum(u.max(axis=1), -u.min(axis=1)) <= _FAR)
    np.expm1(u, out=E)
    np.multiply(p, E, out=pE)
    left = np.vecdot(p, u) / total
    S = pE.sum(axis=1) / total
    log_S = np.log1p(S)
    kl = log_S - left
    both = (np.vecdot(pE, u) / total - S * left) / (1 + S)
    ratio = u[rows, true] - log_S
    E *= (1 / (2 + S))[:, None]
    h = np.log1p(E, out=E)
    first, second = np.vecdot(p, h) / total, np.vecdot(pE, h) / total
    js = (both - kl - first - (first + second) / (1 + S)) / 2 - np.log1p(-S / (2 + 2 * S))
    small = np.flatnonzero(kl < _SMALL)
    if len(small):
        kl[small], js[small] = _small(p[small] / total[small, None], u[small])
        ratio[small] = u[rows, true][small] - kl[small]
    nll = behind + np.log1p(rest)
    part = Divergences(
        np.maximum(kl, 0),
        np.maximum(both - kl, 0),
        np.clip(js, 0, math.log(2)),
        nll,
        _exact_where_certain(nll - ratio, candidate, true),
        _difference(nll, ratio),
    )
    return part, far


def _small(p: Floats, u: Floats) -> tuple[Floats, Floats]:
    """KL and JS of rows of tiny shifts, as sums of terms that are never negative."""
    excess = np.vecdot(p, expm1_excess(u))
    kl = np.log1p(excess)
    r = u - kl[:, None]
    return kl, np.vecdot(p * (1 + np.expm1(r) / 2), js_term(r))


def _exact_where_certain(nll: Floats, logits: NDArray[Any], true: Integers) -> Floats:
    """The negative log-probabilities of true tokens, exact where the model is nearly certain of them."""
    certain = np.flatnonzero(nll < _CERTAIN)
    if len(certain):
        nll[certain] = -Softmax(logits[certain]).log_of(true[certain])
    return nll


def _difference(nll: Floats, ratio: Floats) -> Floats:
    """``q - p`` of the true token from ``-log p`` and ``log(q / p)``."""
    p = np.exp(-nll)
    return np.where(np.abs(ratio) < 1, p * np.expm1(ratio), np.exp(ratio - nll) - p)


def _far(reference: NDArray[Any], candidate: NDArray[Any], true: Integers) -> Divergences:
    """The divergences of finite rows of any shifts, slower."""
    first, second = reference.astype(np.float64), candidate.astype(np.float64)
    found = FarRows(first, second)
    nll = -Softmax(first).log_of(true)
    nll_candidate = -Softmax(second).log_of(true)
    return Divergences(found.kl, found.kl_reverse, found.js, nll, nll_candidate, _difference(nll, nll - nll_candidate))


def _ruled_out(reference: NDArray[Any], candidate: NDArray[Any], true: int) -> Divergences:
    """The divergences of a row in which one model alone rules a token out, or both the true one."""
    first, second = (logits.astype(np.float64) for logits in (reference, candidate))
    log_p, log_q = _log_softmax(first), _log_softmax(second)
    has_p, has_q = np.isfinite(log_p), np.isfinite(log_q)
    common = np.flatnonzero(has_p & has_q)
    alone = np.where(has_p & ~has_q, np.exp(log_p), 0), np.where(has_q & ~has_p, np.exp(log_q), 0)
    js = math.log(2) / 2 * (alone[0].sum() + alone[1].sum())
    kl = kl_reverse = math.inf
    if len(common):
        r = log_q[common] - log_p[common]
        js += float(np.vecdot((np.exp(log_p[common]) + np.exp(log_q[common])) / 2, js_term(r)))
        shared = FarRows(first[None, common], second[None, common])
        if not alone[0].any():
            kl = float(shared.kl[0]) + _paid(second, common, alone[1].sum())
        if not alone[1].any():
            kl_reverse = float(shared.kl_reverse[0]) + _paid(first, common, alone[0].sum())
    if (has_p & ~has_q).any():
        kl = math.inf
    if (has_q & ~has_p).any():
        kl_reverse = math.inf
    nll, nll_candidate = -log_p[true], -log_q[true]
    if np.isfinite(nll) and np.isfinite(nll_candidate):
        delta_p = _difference(nll, nll - nll_candidate)
    else:
        delta_p = np.exp(-nll_candidate) - np.exp(-nll)
    values = kl, kl_reverse, min(js, math.log(2)), nll, nll_candidate, delta_p
    return Divergences(*(np.asarray(value, dtype=np.float64) for value in values))


def _paid(logits: Floats, common: Integers, alone: float) -> float:
    """What a divergence pays because a model's mass is not all on the tokens that both allow: ``-log`` of its share."""
    if alone < 0.5:
        return -math.log1p(-alone)
    return float(logsumexp(logits) - logsumexp(logits[common]))


def _log_softmax(logits: Floats) -> Floats:
    """Log-probabilities of one row ``[V]``, ``-inf`` included."""
    likeliest = int(logits.argmax())
    relative = logits - logits[likeliest]
    odds = np.exp(relative)
    odds[likeliest] = 0
    return np.asarray(relative - np.log1p(odds.sum()), dtype=np.float64)
