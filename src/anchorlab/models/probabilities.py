"""Answers that are no logits: probabilities, shares of votes, and logarithms of another base or sign.

Every metric takes the softmax of what it gets. Log-probabilities are their own logits; probabilities are not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.errors import AnchorlabError

#: Sums of a row may differ from what they should be by this share: half precision, and numbers rounded to two digits.
_TOLERANCE = 0.02

#: Rows that a suspicion needs which single rows of logits could raise by chance. They differ from the first by this
#: share of its largest number: an untrained network answers everything nearly alike, and so does its sum.
_FEW, _MANY, _DIFFERENT = 3, 20, 0.1

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class _Suspicion:
    """Something else than logits: whether rows look so, given the first row; how many it takes; what to say and do."""

    holds: Callable[[Rows, Rows], bool]
    rows: int
    evidence: str
    cure: str


def _sums_to(row_sums: Rows, wanted: float) -> bool:
    return bool((np.abs(row_sums - wanted) <= _TOLERANCE * abs(wanted)).all())


def _is_base(rows: Rows, base: float) -> bool:
    """Whether rows are logarithms of probabilities of this base; where a model is sure, every base fits nearly."""
    sums, natural = (base**rows).sum(axis=1), np.exp(rows).sum(axis=1)
    return _sums_to(sums, 1) and bool(np.abs(sums - 1).mean() <= np.abs(natural - 1).mean())


_SUSPICIONS = (
    _Suspicion(
        lambda rows, _: rows.min() >= 0 and _sums_to(rows.sum(axis=1), 1),
        1,
        "probabilities, because none is negative and every row sums to 1",
        "store log-probabilities (np.log(p)) or the logits themselves",
    ),
    _Suspicion(
        lambda rows, first: rows.min() >= 0 and first.sum() > 0 and _sums_to(rows.sum(axis=1), float(first.sum())),
        _FEW,
        "shares or votes, because none is negative and every row sums to the same number",
        "store log-probabilities (np.log(p)) or the logits themselves",
    ),
    _Suspicion(
        lambda rows, _: rows.min() >= 0 and _sums_to(np.exp(-rows).sum(axis=1), 1),
        1,
        "negative log-probabilities, because none is negative and exp(-x) of every row sums to 1",
        "change their sign",
    ),
    _Suspicion(
        lambda rows, _: rows.max() <= 0 and _is_base(rows, 10.0),
        1,
        "logarithms of base 10, because 10**x of every row sums to 1",
        "multiply them by np.log(10)",
    ),
    _Suspicion(
        lambda rows, _: rows.max() <= 0 and _is_base(rows, 2.0),
        1,
        "logarithms of base 2, because 2**x of every row sums to 1",
        "multiply them by np.log(2)",
    ),
    _Suspicion(
        lambda rows, first: rows.min() >= 0 and rows.max() <= 1 and first.max() > first.min(),
        _MANY,
        "probabilities of separate classes (a sigmoid's), because all lie between 0 and 1",
        "store the logits themselves",
    ),
)


class Watch:
    """Looks at one model's answers a batch at a time, and says in the end whether they can be logits.

    Args:
        whose: whose answers they are, for the message.
    """

    def __init__(self, whose: str) -> None:
        self._whose = whose
        self._possible = list(_SUSPICIONS)
        self._first: Rows | None = None
        self._count = 0
        self._different = 0

    @property
    def is_satisfied(self) -> bool:
        """Whether all that it looks for is ruled out, so that it need not see more."""
        return not self._possible

    def see(self, answers: Any) -> None:
        """Looks at answers ``[B, C]``, finite, of any real dtype; what is ruled out is never computed again."""
        if self.is_satisfied:
            return
        rows = np.asarray(answers, dtype=np.float64)
        if self._first is None:
            self._first = rows[0]
        self._count += len(rows)
        self._different += int((abs(rows - self._first).max(axis=1) > _DIFFERENT * abs(self._first).max()).sum())
        with np.errstate(all="ignore"):
            self._possible = [one for one in self._possible if one.holds(rows, self._first)]

    def complaint(self, cure: str | None = None) -> str | None:
        """What is wrong with all answers seen so far, and how to mend it; None if they may be logits.

        Args:
            cure: how to mend it; None for what helps stored answers.
        """
        for one in self._possible:
            if (self._count if one.rows == 1 else self._different + 1) >= one.rows:
                return f"the answers of {self._whose} are {one.evidence}, but logits are wanted: {cure or one.cure}"
        return None

    def check(self, cure: str | None = None) -> None:
        """Raises AnchorlabError for answers that are no logits; ``cure`` is as in ``complaint``."""
        if (complaint := self.complaint(cure)) is not None:
            raise AnchorlabError(complaint)


class Watched:
    """Logits ``[N, C]`` of which every slice that is read is looked at.

    Attributes:
        watch: what looks at them.
        shape: N and C.
    """

    def __init__(self, logits: Any, whose: str) -> None:
        self._logits = logits if hasattr(logits, "shape") else np.asarray(logits)
        self.watch = Watch(whose)
        self.shape = self._logits.shape

    def __getitem__(self, rows: slice) -> Any:
        """The logits of some consecutive rows."""
        piece = self._logits[rows]
        if self.watch.is_satisfied:
            return piece
        values = piece.detach().cpu().double().numpy() if hasattr(piece, "detach") else np.asarray(piece, np.float64)
        if np.isfinite(values).all():
            self.watch.see(values)
        return piece
