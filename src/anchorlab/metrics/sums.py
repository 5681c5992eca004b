"""Every sum over the classes that distances of two models need, in as few passes over the logits as there can be.

Notation as in ``anchorlab.metrics``; ``i`` is the class that the reference predicts. With the p-centred shift
``u_c = d_c - sum_c p_c d_c`` and its ``E_c = e^u_c - 1``, all that is asked for follows from four functions of each
logit, two exponentials for the odds of both models, one for E, and one logarithm:

    X    = sum_c p_c (E_c - u_c)                      the terms are never negative, so that none cancels
    KL   = log(1 + X)
    p* - p = p (E - X) / (1 + X)
    J    = sum_c (p*_c - p_c) u_c                     both Kullback-Leibler divergences together
    JS   = J / 4 - sum_c (p_c + p*_c) log(1 + z_c) / 4,  z = (p* - p)^2 / (4 p p*) = sinh^2(r / 2) for r = log(p* / p)

The sum in JS is half of J for small shifts, and the reverse divergence J - KL is half of it too, so that both keep
their digits. Nothing is divided by the sum of odds before the sums over classes are taken. Every pass stays in the
processor's cache, because the rows are taken in small pieces.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.metrics.far import FarRows
from anchorlab.metrics.numerics import EXCESS_BELOW, Odds, excess_series, js_term
from anchorlab.metrics.room import pieces, room
from anchorlab.statistics.arrays import Floats, Integers

#: Logits to which their exponentials are taken as they are, and shifts to which the sums here keep their digits: above,
#: a row is one of ``FarRows``.
_HIGH, _FAR = 150.0, 32.0

#: Where J is so many times the JS, its rounding would show in the JS, which is taken from its own terms then. The ratio
#: is 8 for small shifts.
_STEEP = 40

#: Below this X, the rounding of ``E - u`` would show in its sum where u is small.
_SMALL = 5e-4

#: From this many classes on, numpy is to subtract a number a row from the row as it is. It would copy these numbers
#: to a buffer first, as often as there are classes, wherever more than a row fits in its buffer.
_WIDE = 256


@dataclass(frozen=True)
class RowSums:
    """What is known of each instance, float64 ``[N]`` but for the odds.

    Attributes:
        reference: the odds of the reference.
        candidate: the odds of the candidate.
        mean_shift: ``sum_c p_c (d_c - d_i)``, logits.
        logit_distance: ``(1/C) sum_c d_c²``.
        logit_distance_centred: the same of ``d_c - mean d``.
        largest_shift: ``max_c |d_c - mean d|``.
        shift_range: ``max_c d_c - min_c d_c``.
        kl: ``KL(p || p*)``, nats.
        kl_reverse: ``KL(p* || p)``, nats.
        js: Jensen-Shannon divergence, nats.
        probability_distance: ``||p - p*||_2``.
        total_variation: ``(1/2) sum_c |p_c - p*_c|``.
    """

    reference: Odds
    candidate: Odds
    mean_shift: Floats
    logit_distance: Floats
    logit_distance_centred: Floats
    largest_shift: Floats
    shift_range: Floats
    kl: Floats
    kl_reverse: Floats
    js: Floats
    probability_distance: Floats
    total_variation: Floats


#: The fields that a piece fills, each ``[N]``, and those that ``FarRows`` knows better.
_COLUMNS = [field.name for field in fields(RowSums) if field.name not in ("reference", "candidate")]
_DIVERGENCES = ("kl", "kl_reverse", "js", "probability_distance", "total_variation")


def row_sums(reference: NDArray[Any], candidate: NDArray[Any]) -> RowSums:
    """The sums of finite logits ``[N, C]`` of two models, float32 or float64."""
    N, C = reference.shape
    odds = Odds.empty(N), Odds.empty(N)
    columns = {name: np.empty(N) for name in _COLUMNS}
    far = np.empty(N, dtype=bool)
    with np.errstate(all="ignore"):  # rows that overflow are far
        if C >= _WIDE:
            np.setbufsize(_WIDE)  # until the end of errstate
        for rows in pieces(N, C):
            piece = _Piece(reference[rows], candidate[rows])
            for whole, part in zip(odds, piece.odds, strict=True):
                whole.put(rows, part)
            for name, values in piece.columns.items():
                columns[name][rows] = values
            far[rows] = piece.far
    sums = RowSums(odds[0], odds[1], **columns)
    _correct(sums, reference, candidate, np.flatnonzero(far))
    return sums


def _correct(sums: RowSums, reference: NDArray[Any], candidate: NDArray[Any], far: Integers) -> None:
    """Puts the divergences of far rows in their place, a piece at a time."""
    for piece in pieces(len(far), reference.shape[1]):
        rows = far[piece]
        right = FarRows(reference[rows].astype(np.float64), candidate[rows].astype(np.float64))
        for name in _DIVERGENCES:
            getattr(sums, name)[rows] = getattr(right, name)


class _Piece:
    """The sums of a few rows.

    Attributes:
        odds: of the reference and of the candidate.
        columns: all else by name, ``[n]`` each.
        far: which rows the divergences do not hold for, bool ``[n]``.
    """

    def __init__(self, reference: NDArray[Any], candidate: NDArray[Any]) -> None:
        self._p, self._q, self._shift, self._change, self._work = room(5, *reference.shape)
        # np.copyto would keep the lock of the interpreter.
        np.positive(reference, out=self._p, dtype=np.float64)
        np.positive(candidate, out=self._q, dtype=np.float64)
        np.subtract(self._q, self._p, out=self._shift)
        self.columns: dict[str, Floats] = {}
        self._logits()
        self.odds = self._odds()
        self._p_centre()
        self._divergences()
        size = self.columns["largest_shift"] + np.abs(self._offset)  # no |u| is larger
        self.far = ~((size <= _FAR) & np.isfinite(self.columns["js"]))

    def _logits(self) -> None:
        """Distances of the logits."""
        mean = self._shift.mean(axis=1)
        centred = np.subtract(self._shift, mean[:, None], out=self._work)
        squared = np.vecdot(centred, centred) / centred.shape[1]
        self._offset = mean
        highest, lowest = centred.max(axis=1), centred.min(axis=1)
        self.columns |= {
            "logit_distance": squared + mean**2,
            "logit_distance_centred": squared,
            "largest_shift": np.maximum(highest, -lowest),
            "shift_range": highest - lowest,
        }

    def _odds(self) -> tuple[Odds, Odds]:
        """The odds of both models, and in place of the logits their exponentials, whose sums are ``_totals``."""
        rows = np.arange(len(self._p))
        found, totals = [], []
        for logits in (self._p, self._q):
            prediction = np.asarray(logits.argmax(axis=1), dtype=np.int64)
            largest = logits[rows, prediction]
            if np.abs(largest).max() > _HIGH:
                logits -= largest[:, None]
            odds = np.exp(logits, out=logits)
            top = odds[rows, prediction]
            odds[rows, prediction] = 0
            rest = odds.sum(axis=1)
            found.append(Odds(prediction, rest / top, np.vecdot(odds, odds) / top**2))
            odds[rows, prediction] = top
            totals.append(top + rest)
        self._totals = totals
        return found[0], found[1]

    def _p_centre(self) -> None:
        """Makes u of the shift."""
        # The likeliest class's shift goes first, exactly: the mean that remains is small where p is confident.
        likeliest = self._shift[np.arange(len(self._shift)), self.odds[0].prediction]
        self._shift -= likeliest[:, None]
        mean = np.vecdot(self._p, self._shift) / self._totals[0]
        self._shift -= mean[:, None]
        self._offset -= likeliest + mean
        self.columns["mean_shift"] = mean

    def _divergences(self) -> None:
        """Divergences and distances of the probabilities, see the head of this file."""
        p, q, u, change, work = self._p, self._q, self._shift, self._change, self._work
        total_p, total_q = self._totals
        np.expm1(u, out=change)
        np.subtract(change, u, out=work)
        X = np.vecdot(p, work) / total_p
        self._exact(X)
        change -= X[:, None]
        change *= p  # p* - p, but for this factor:
        factor = 1 / (total_p * (1 + X))
        both = np.vecdot(change, u) * factor
        distance = np.sqrt(np.vecdot(change, change)) * factor
        variation = np.abs(change, out=work).sum(axis=1) * factor / 2
        np.multiply(p, q, out=work)
        np.square(change, out=change)
        change /= work
        change *= (factor**2 * total_p * total_q / 4)[:, None]
        z = np.log1p(change, out=change)
        js = (both - np.vecdot(p, z) / total_p - np.vecdot(q, z) / total_q) / 4
        kl = np.log1p(X)
        self._steep(js, kl, np.flatnonzero(both > _STEEP * js))
        self.columns |= {
            "kl": kl,
            "kl_reverse": np.maximum(both - kl, 0),
            "js": np.minimum(np.maximum(js, 0), math.log(2)),
            "probability_distance": distance,
            "total_variation": variation,
        }

    def _exact(self, X: Floats) -> None:
        """Sums small X again with the series of ``E - u``, which ``_work`` holds, where the difference cancels."""
        small = np.flatnonzero(X < _SMALL)
        if not len(small):
            return
        every = len(small) == len(X)
        p, u, excess = (each if every else each[small] for each in (self._p, self._shift, self._work))
        np.copyto(excess, excess_series(u), where=np.abs(u) < EXCESS_BELOW)
        X[small] = np.vecdot(p, excess) / self._totals[0][small]

    def _steep(self, js: Floats, kl: Floats, rows: Integers) -> None:
        """Sums the JS of some rows from its own terms."""
        if not len(rows):
            return
        mixture = self._p[rows] / self._totals[0][rows, None] + self._q[rows] / self._totals[1][rows, None]
        js[rows] = np.vecdot(mixture, js_term(self._shift[rows] - kl[rows, None])) / 2
