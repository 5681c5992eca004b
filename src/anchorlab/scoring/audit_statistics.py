"""Statistics of an audit: a candidate among benign updates, the power of the test, and what it would have noticed.

The auditor asks both models the same clean queries, and sees labels alone, probabilities or logits. The difference is
compared with the differences of benign updates of the reference, in both directions: an update that moves less than
any benign one is as unusual as one that moves more. ``audit_ranks`` has the p-values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import beta

from anchorlab.metrics import Pair
from anchorlab.scoring.audit_ranks import rejected_ranks
from anchorlab.scoring.ranked import Ranked, p_values
from anchorlab.statistics.arrays import Floats
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.intervals import DECIMAL_TAILS, between_replicates, wilson
from anchorlab.statistics.resampling import resampled_means

Access = Literal["labels", "probabilities", "logits"]

#: Kinds of access, each with the statistic of a query, the poorest first.
ACCESSES: dict[Access, str] = {
    "labels": "share of queries with another label",
    "probabilities": "KL divergence from the reference, nats",
    "logits": "mean squared shift of the centred logits",
}

#: Level of the test if the auditor names none.
LEVEL = 0.05

#: The chance with which a difference is noticed, where a size or a number of queries is named.
POWER = 0.95

#: Random sets of queries of each size.
_DRAWS = 400

#: The standard normal's quantile of ``POWER``.
_Z = 1.6448536269514722


@dataclass(frozen=True)
class Noticeable:
    """Sizes of a difference that an audit with these queries and updates notices with a chance of 95%.

    Attributes:
        above: a candidate whose true difference is at least this is found to move more; None if no size is noticed.
        below: one whose true difference is at most this is found to move less; None if no size is noticed.
    """

    above: float | None
    below: float | None


@dataclass(frozen=True)
class AccessAudit(Ranked):
    """The result for one kind of access, whose statistic is a mean over queries.

    Attributes:
        access: a key of ``ACCESSES``.
        statistic: the candidate's statistic over all queries, with its 95% interval: Wilson's for labels, else by
            bootstrap over queries.
        level: level of the test whose power is given.
        power: for each number of queries, the share of random sets of them that reject; columns ``queries``, ``power``.
        queries: the smallest number of queries of the grid with a power of 0.95; None if all do not suffice.
        noticeable: the differences that these queries and updates would have shown.
    """

    access: Access
    level: float
    power: pd.DataFrame
    queries: int | None
    noticeable: Noticeable

    @property
    def can_find(self) -> bool:
        """Whether there are enough updates for a test of this access alone to find anything at the level."""
        return rejected_ranks(len(self.null), self.level) > 0


def values_of(pair: Pair) -> dict[Access, Floats]:
    """The statistic of each kind of access on each query, ``[N]``."""
    return {
        "labels": (pair.p.prediction != pair.q.prediction).astype(np.float64),
        "probabilities": pair.kl,
        "logits": pair.logit_distance_centred(),
    }


def audit_values(
    candidate: Mapping[Access, Floats],
    null: Sequence[Mapping[Access, Floats]],
    *,
    seed: int,
    level: float = LEVEL,
    settings: Sequence[str] | None = None,
) -> list[AccessAudit]:
    """The audit from statistics on the same N queries.

    Args:
        candidate: kind of access to its values ``[N]``.
        null: the same of each benign update, at least one.
        seed: seed of the random sets of queries.
        level: of the test.
        settings: the name of each update's setting; "given" for all if None.
    """
    names = tuple(settings or ["given"] * len(null))
    return [
        _audit_access(access, np.stack([values, *(update[access] for update in null)], axis=1), names, level, seed)
        for access, values in candidate.items()
    ]


def _audit_access(access: Access, table: Floats, settings: tuple[str, ...], level: float, seed: int) -> AccessAudit:
    """The audit of one kind of access, from a table with a row for each query and the candidate's column first."""
    means = table.mean(axis=0)
    value, null = float(means[0]), means[1:]
    rng = np.random.default_rng(seed)
    whole = resampled_means(rng, table, len(table), _DRAWS)
    power = _power(rng, table, level)
    sufficient = power[power["power"] >= POWER]["queries"]
    return AccessAudit(
        access=access,
        statistic=Estimate(value, *_ends(access, table[:, 0], whole[:, 0])),
        null=tuple(float(one) for one in null),
        settings=settings,
        **p_values(value, null.tolist(), settings),
        level=level,
        power=power,
        queries=int(sufficient.iloc[0]) if len(sufficient) else None,
        noticeable=noticeable(access, table[:, 1:], level),
    )


def _ends(access: Access, values: Floats, means: Floats) -> tuple[float, float]:
    """The interval of the candidate's statistic: Wilson's of a rate of labels, whose bootstrap has no width at 0.

    Args:
        access: the kind of access.
        values: the statistic on each query, ``[N]``.
        means: its mean over each random set of queries, ``[draws]``.
    """
    return wilson(round(values.sum()), len(values)) if access == "labels" else between_replicates(means, DECIMAL_TAILS)


def _power(rng: np.random.Generator, table: Floats, level: float) -> pd.DataFrame:
    """The share of random sets of queries that reject, by their number."""
    rejected = rejected_ranks(table.shape[1] - 1, level)
    rows = []
    for queries in sizes(len(table)):
        samples = resampled_means(rng, table, queries, _DRAWS)
        above = 1 + (samples[:, 1:] >= samples[:, :1]).sum(axis=1)
        below = 1 + (samples[:, 1:] <= samples[:, :1]).sum(axis=1)
        rows.append({"queries": queries, "power": float((np.minimum(above, below) <= rejected).mean())})
    return pd.DataFrame(rows)


def noticeable(access: Access, updates: Floats, level: float) -> Noticeable:
    """The differences that a test notices with a chance of 95%, given these updates.

    A label differs or not, so that the number of labels that differ is binomial. The other statistics are means over
    queries, taken as normal, whose standard deviation grows with their mean as it does in the median update.

    Args:
        access: the kind of access.
        updates: the statistic on each query, ``[N, n]``, a column an update.
        level: of the test.
    """
    count, means = len(updates), np.sort(updates.mean(axis=0))
    rejected = rejected_ranks(len(means), level)
    if rejected == 0:
        return Noticeable(None, None)
    low, high = float(means[rejected - 1]), float(means[-rejected])
    if access == "labels":
        return _noticeable_labels(round(low * count), round(high * count), count)
    spread = updates.std(axis=0) / np.where(updates.mean(axis=0) > 0, updates.mean(axis=0), np.inf)
    noise = _Z * float(np.median(spread)) / math.sqrt(count)
    above = high / (1 - noise) if noise < 1 else None
    return Noticeable(above, low / (1 + noise) if low > 0 else None)


def _noticeable_labels(low: int, high: int, count: int) -> Noticeable:
    """The same of labels: ``low`` and ``high`` are numbers of labels that differ, which must be left behind."""
    # P(Binomial(N, c) > k) = P(Beta(k + 1, N - k) < c), and P(Binomial(N, c) < k) likewise.
    above = float(beta.ppf(POWER, high + 1, count - high)) if high < count else None
    below = float(beta.ppf(1 - POWER, low, count - low + 1)) if low > 0 else None
    return Noticeable(above, below)


def sizes(count: int) -> list[int]:
    """Numbers of queries from 1 to all, three to a power of ten."""
    grid = {round(10 ** (step / 3)) for step in range(3 * 7)}
    return sorted({size for size in grid if size < count} | {count})


def largest_churn(queries: int) -> float:
    """Upper 95% bound of the churn if no label of ``queries`` queries differs: ``1 - 0.05^(1/N)``."""
    return float(1 - 0.05 ** (1 / queries))
