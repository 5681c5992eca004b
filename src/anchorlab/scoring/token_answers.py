"""What is seen of two models' answers by poorer access than logits: lists of the likeliest tokens, and sampled tokens.

**Lists.** From the probabilities of the k likeliest tokens alone, ``p`` and ``q`` are known of some tokens, and of
every other token that it is no likelier than the last of the list, and all others together than what the list leaves
of 1. So ``sum max(0, p - q)`` is at least the sum over the reference's list with the largest ``q`` that are possible,
and likewise with both exchanged. The larger of the two is a lower bound of the total variation distance, and is the
distance itself where the lists hold the whole vocabulary.

**Samples.** At a query each model answers m tokens, drawn from its own probabilities. With counts ``c`` and ``r`` the
distance is ``sum |c - r| / (2 m)``. It is above 0 for equal models too, by chance; but so it is for benign updates. The
reference answers once, as an auditor asks it once, and all models are held against these answers. Given them, a model's
distance is one function of its own draws alone, so that a candidate that is like the updates is exchangeable with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp

from anchorlab.seeding import derive
from anchorlab.statistics.arrays import Floats, Integers
from anchorlab.tokens.answers import Answers
from anchorlab.tokens.measures import Columns
from anchorlab.tokens.tops import Tops
from anchorlab.tokens.windows import Batch

#: Rows that are worked on at once.
_BLOCK = 32


@dataclass(frozen=True)
class Seen:
    """What was seen of one model's answers.

    Attributes:
        top_tv: of each scored token, float64 ``[N]``.
        top_missing: of each scored token.
        asked: the document of each query, int64 ``[Q]``.
        sampled_tv: of each query, float64 ``[Q]``.
        sampled_new: of each query.
        sampled_again: the distance of two draws of the reference itself, of each query.
    """

    top_tv: Floats
    top_missing: Floats
    asked: Integers
    sampled_tv: Floats
    sampled_new: Floats
    sampled_again: Floats


@dataclass
class ReferenceDraws:
    """The reference's sampled tokens at the queries, drawn when they are first asked for and the same ever after.

    Attributes:
        samples: tokens that each model answers at a query.
        seed: of all draws.
    """

    samples: int
    seed: int
    _kept: dict[int, tuple[Integers, float]] = field(default_factory=dict)

    def at(self, query: int, logits: NDArray[np.float32]) -> tuple[Integers, float]:
        """How often each token was drawn, int64 ``[V]``, and the distance of a second draw of the reference.

        Args:
            query: the number of the query.
            logits: the reference's logits there, ``[V]``, which are looked at once.
        """
        if query not in self._kept:
            ours, again = (self.drawn(name, query, logits) for name in ("reference", "reference again"))
            tokens = np.flatnonzero(ours)
            self._kept[query] = np.repeat(tokens, ours[tokens]), counted(ours, again)[0]
        tokens, distance = self._kept[query]
        return np.bincount(tokens, minlength=len(logits)), distance

    def drawn(self, model: str, query: int, logits: NDArray[np.float32]) -> Integers:
        """The draws of a model, from a seed of its own at each query; see ``sampled``."""
        return sampled(logits, self.samples, derive(self.seed, "samples", model, query))


@dataclass
class Watcher:
    """Sees the logits of all scored tokens while they are measured, see ``tokens.scoring.score``.

    Args:
        k: length of the lists.
        queries: the scored tokens at which tokens are sampled, ascending int64 ``[Q]``.
        draws: the reference's sampled tokens, which all models share.
        model: a name of the model, which keeps its draws apart from another's.
    """

    k: int
    queries: Integers
    draws: ReferenceDraws
    model: str
    _top: list[tuple[Floats, Floats]] = field(default_factory=list)
    _asked: list[tuple[int, float, float, float]] = field(default_factory=list)

    def see(self, start: int, columns: Columns, reference: NDArray[np.float32], candidate: NDArray[np.float32]) -> None:
        """Takes rows; see ``tokens.worst.Worst``."""
        totals = [
            _log_totals(logits, columns["token"], columns[nll])
            for logits, nll in ((reference, "nll_reference"), (candidate, "nll_candidate"))
        ]
        for first in range(0, len(reference), _BLOCK):
            rows = slice(first, first + _BLOCK)
            lists = (
                top_probabilities(logits[rows], self.k, total[rows])
                for logits, total in zip((reference, candidate), totals, strict=True)
            )
            self._top.append(listed(*next(lists), *next(lists)))
        low, high = np.searchsorted(self.queries, (start, start + len(reference)))
        for number in range(low, high):
            row = int(self.queries[number]) - start
            ours, again = self.draws.at(number, reference[row])
            theirs = self.draws.drawn(self.model, number, candidate[row])
            self._asked.append((int(columns["document"][row]), *counted(ours, theirs), again))

    def seen(self) -> Seen:
        """All that was seen."""
        tv, missing = (np.concatenate(parts) for parts in zip(*self._top, strict=True))
        asked, distance, new, again = zip(*self._asked, strict=True)
        return Seen(tv, missing, np.array(asked, dtype=np.int64), np.array(distance), np.array(new), np.array(again))


def top_probabilities(logits: NDArray[np.float32], k: int, total: Floats) -> tuple[Integers, Floats]:
    """The k likeliest tokens of each row ``[n, V]``, int64 ``[n, k]``, and their probabilities, float64 ``[n, k]``.

    Args:
        logits: of each row.
        k: how many are wanted.
        total: the logarithm of the sum of the exponentials of each row's logits, float64 ``[n]``.
    """
    tops = Tops.of(logits, k)
    return tops.tokens, np.exp(tops.values.astype(np.float64) - total[:, None])


def _log_totals(logits: NDArray[np.float32], true: Integers, nll: Floats) -> Floats:
    """The logarithm of the sum of the exponentials of logits ``[n, V]``, float64 ``[n]``.

    It is a true token's logit and its negative log-probability together, which were measured already; only where that
    token is ruled out the sum is made again.
    """
    with np.errstate(invalid="ignore"):
        total = logits[np.arange(len(true)), true].astype(np.float64) + nll
    again = np.flatnonzero(~np.isfinite(total))
    if len(again):
        total[again] = logsumexp(logits[again].astype(np.float64), axis=1)
    return total


def listed(first: Integers, p: Floats, second: Integers, q: Floats) -> tuple[Floats, Floats]:
    """What two lists of likeliest tokens say of their models' distance.

    Args:
        first: the reference's tokens, the likeliest first, int64 ``[n, k]``.
        p: their probabilities under the reference, float64 ``[n, k]``.
        second: the candidate's tokens.
        q: their probabilities under the candidate.

    Returns:
        The least total variation distance that they allow, and the share of ``first`` that is not in ``second``.
    """
    same = first[:, :, None] == second[:, None, :]
    lost, won = _least_excess(p, q, same), _least_excess(q, p, same.transpose(0, 2, 1))
    return np.minimum(np.maximum(lost, won), 1.0), (~same.any(axis=2)).mean(axis=1)


def _least_excess(p: Floats, q: Floats, same: NDArray[np.bool_]) -> Floats:
    """The least ``sum max(0, p - q)`` over the tokens of one list, ``[n]``; the other one has ``q``.

    Args:
        p: probabilities of the list, float64 ``[n, k]``.
        q: those of the other list.
        same: which token of the list is which of the other, bool ``[n, k, k]``.
    """
    missing = ~same.any(axis=2)
    known = np.where(missing, 0, np.maximum(p - (same * q[:, None, :]).sum(axis=2), 0)).sum(axis=1)
    unlisted = np.where(missing, p, 0).sum(axis=1)
    # The others share what the other list leaves, and none of them is likelier than its last token.
    left = np.maximum(1 - q.sum(axis=1), 0)
    most = np.minimum(left, np.where(missing, np.minimum(p, q[:, -1:]), 0).sum(axis=1))
    return np.asarray(known + (unlisted - most))


def sampled(logits: NDArray[np.float32], count: int, seed: int) -> Integers:
    """How often each token is drawn in a number of draws from the softmax of logits ``[V]``: int64 ``[V]``."""
    exact = logits.astype(np.float64)
    probability = np.exp(exact - logsumexp(exact))
    return np.random.default_rng(seed).multinomial(count, probability / probability.sum())


def counted(reference: Integers, candidate: Integers) -> tuple[float, float]:
    """The total variation distance of two counts ``[V]`` of as many draws, and the share of the second that is new."""
    draws = candidate.sum()
    distance = np.abs(candidate - reference).sum() / (2 * draws)
    return float(distance), float(candidate[reference == 0].sum() / draws)


def low_margin_queries(batches: Iterable[Batch], reference: Answers, count: int) -> Integers:
    """The scored tokens at which the reference's two likeliest tokens are nearest, ascending int64 ``[Q]``.

    The nearest of each document come first, then the second nearest of each, so that no document has all of them. They
    depend on the reference alone, so that no model that is compared with it has chosen them.

    Args:
        batches: what is read.
        reference: its answers.
        count: how many are wanted; fewer where there are fewer tokens.
    """
    margins, documents = [], []
    for batch in batches:
        for window, rows in zip(batch.windows, reference.rows(batch), strict=True):
            top = torch.topk(rows, 2).values.double()
            margins.append((top[:, 0] - top[:, 1]).numpy())
            documents.append(np.full(len(rows), window.document))
    margin, document = np.concatenate(margins), np.concatenate(documents)
    order = np.lexsort((margin, document))
    ordered = document[order]
    place = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return np.sort(order[np.lexsort((margin[order], place))[:count]])
