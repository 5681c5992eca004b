"""A base file of llama.cpp as the reference of our own measures.

Such a file holds 16 bits a log-probability, and all that is 16 nats or more rarer than a row's likeliest token as if it
were exactly so rare. What it cuts off counts as one event here, in both models: the reference's probability of it is
what the others leave of 1, as near to the candidate's as the rounding of the others allows. So a divergence is the
least that the file allows; it is never negative, and a candidate that moves much to rare tokens is seen. A true token
that is cut off counts as 16 nats rarer than the likeliest.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy.special import logsumexp
from torch import Tensor

from anchorlab.statistics.arrays import Floats, Integers
from anchorlab.tokens.kld import BaseFile
from anchorlab.tokens.windows import Batch, Window

#: How far below the likeliest token llama.cpp cuts off, in nats, and the span of a row from which on it has.
DEPTH, _CUT = 16.0, 15.99

#: Half a step of a row that is cut off is this share of a probability, and float32 rounds the others by this one.
_STEP, _FLOAT32 = float(np.expm1(DEPTH / 65535 / 2)), 1e-5


def base_windows(file: BaseFile, read: Integers) -> Iterator[Window]:
    """The chunks of a base file as windows, each a document of its own, whose second halves are scored.

    Args:
        file: the base file.
        read: what the models read of it, integer ``[chunks, context]``.
    """
    first = file.context // 2
    for chunk, ids in enumerate(read):
        targets = file.tokens[chunk, first + 1 :].astype(np.int64)
        yield Window(chunk, ids[:-1].astype(np.int64), first, targets)


class BaseAnswers:
    """The log-probabilities of a base file, chunk after chunk; ``-inf`` where they are cut off."""

    def __init__(self, file: BaseFile) -> None:
        self._file, self._next = file, 0

    def rows(self, batch: Batch) -> list[Tensor]:
        """See ``answers.Answers``; float64."""
        found = []
        for _ in batch.windows:
            rows = self._file.rows(self._next, 0, self._file.scored)
            self._next += 1
            least = rows.min(axis=1, keepdims=True)
            rows[(rows <= least) & (rows.max(axis=1, keepdims=True) - least > _CUT)] = -np.inf
            found.append(torch.from_numpy(rows))
        return found


def cut_off(reference: Floats, true: Integers) -> int:
    """How many true tokens ``[n]`` are cut off in rows ``[n, V]``."""
    return int(np.isneginf(reference[np.arange(len(true)), true]).sum())


def lumped(reference: Floats, candidate: Floats, true: Integers) -> tuple[Floats, Floats]:
    """Rows ``[n, V]`` in which all tokens that the reference's row cuts off are one, float64.

    Args:
        reference: log-probabilities, ``-inf`` where they are cut off.
        candidate: logits.
        true: the token that follows, ``[n]``, which stays one of its own.
    """
    ours, theirs = reference.astype(np.float64), candidate.astype(np.float64)
    for row in np.flatnonzero(np.isneginf(reference).any(axis=1)):
        p, q = ours[row], theirs[row]
        deepest = p.max() - DEPTH
        p[true[row]] = max(p[true[row]], deepest)
        out = np.flatnonzero(np.isneginf(p))
        if not len(out):
            continue
        known = float(np.exp(p).sum())
        unsure = _STEP * (known - float(np.exp(p.max()))) + _FLOAT32
        most = min(1 - known + unsure, len(out) * float(np.exp(deepest)))
        log_q = float(logsumexp(q[out]))
        share = float(np.exp(log_q - logsumexp(q)))
        rest = min(max(share, 1 - known - unsure, 0.0), max(most, 0.0))
        one = out[int(q[out].argmax())]
        p += np.log1p(-rest) - np.log(known)
        q[out] = -np.inf
        with np.errstate(divide="ignore"):
            p[one] = np.log(rest)
        if rest:
            q[one] = log_q
    return ours, theirs
