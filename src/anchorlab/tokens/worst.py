"""The tokens of largest KL: found while the models answer, and shown in their contexts afterwards."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.metrics.numerics import Softmax
from anchorlab.tokens.measures import Columns
from anchorlab.tokens.result import Alternative, Passage, ShownToken
from anchorlab.tokens.store import TokenStore

#: Tokens of the context that are shown on each side.
BEFORE, AFTER = 24, 8


@dataclass(frozen=True)
class _Found:
    """A token of large KL: its row in the store, and the probabilities of the likeliest tokens."""

    row: int
    kl: float
    likeliest: tuple[tuple[int, float, float], ...]


class Worst:
    """Keeps the tokens of largest KL, the earlier ones of equals.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._heap: list[tuple[float, int, _Found]] = []

    def see(self, start: int, columns: Columns, reference: NDArray[Any], candidate: NDArray[Any]) -> None:
        """Takes rows.

        Args:
            start: where the first one will be in the store.
            columns: of the rows.
            reference: the reference's logits, ``[n, V]``.
            candidate: the candidate's.
        """
        if not self._count:
            return
        kl = columns["kl"]
        least = self._heap[0][0] if len(self._heap) == self._count else 0.0
        rows = np.flatnonzero(kl > least)
        for row in rows[np.argsort(-kl[rows], kind="stable")[: self._count]]:
            if len(self._heap) == self._count and kl[row] <= self._heap[0][0]:
                break
            entry = (float(kl[row]), -(start + int(row)), _found(start, int(row), columns, reference, candidate))
            if len(self._heap) < self._count:
                heapq.heappush(self._heap, entry)
            else:
                heapq.heapreplace(self._heap, entry)

    def passages(self, store: TokenStore, tokenizer: Any, domains: Sequence[str | None]) -> list[Passage]:
        """The tokens in their contexts, the one of largest KL first."""
        ranked = sorted(self._heap, key=lambda entry: (-entry[0], -entry[1]))
        return [_passage(found, store, tokenizer, domains) for _, _, found in ranked]


def _found(start: int, row: int, columns: Columns, reference: NDArray[Any], candidate: NDArray[Any]) -> _Found:
    tokens = dict.fromkeys(int(columns[name][row]) for name in ("token", "top_reference", "top_candidate"))
    with np.errstate(invalid="ignore", over="ignore"):
        p, q = (Softmax(logits[row : row + 1]).probability[0] for logits in (reference, candidate))
    likeliest = tuple((token, float(p[token]), float(q[token])) for token in tokens)
    return _Found(start + row, float(columns["kl"][row]), likeliest)


def _passage(found: _Found, store: TokenStore, tokenizer: Any, domains: Sequence[str | None]) -> Passage:
    document, token, kl = (store.column(name) for name in ("document", "token", "kl"))

    def shown(row: int) -> ShownToken:
        return ShownToken(text=tokenizer.decode([int(token[row])]), kl=float(kl[row]))

    own = int(document[found.row])
    first, last = max(0, found.row - BEFORE), min(store.tokens, found.row + AFTER + 1)
    near = [row for row in range(first, last) if document[row] == own]
    return Passage(
        document=own,
        domain=domains[own],
        position=int(store.column("position")[found.row]),
        kl=found.kl,
        before=[shown(row) for row in near if row < found.row],
        token=shown(found.row),
        after=[shown(row) for row in near if row > found.row],
        likeliest=[
            Alternative(text=tokenizer.decode([number]), reference=p, candidate=q) for number, p, q in found.likeliest
        ],
    )
