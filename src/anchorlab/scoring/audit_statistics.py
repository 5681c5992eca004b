"""Statistics of an audit: the p-value of a candidate among benign updates, and the power of the test.

The auditor asks both models the same clean queries, and sees labels alone, probabilities or logits. The difference is
compared with the differences of real benign updates of the reference: the p-value is the rank of the candidate among
them, ``(1 + #{null >= candidate}) / (1 + n)``, valid however few there are (Phipson and Smyth 2010, arXiv 1603.05766),
if the candidate, were it benign, would be an update of their kind. With n updates it is never below ``1 / (n + 1)``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from anchorlab.metrics import Pair
from anchorlab.statistics.arrays import Floats
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.intervals import DECIMAL_TAILS, between_replicates
from anchorlab.statistics.resampling import resampled_means

#: Kinds of access, each with the statistic of a query.
ACCESSES = {
    "labels": "share of queries with another label",
    "probabilities": "KL divergence from the reference, nats",
    "logits": "mean squared shift of the centred logits",
}

#: Level of the test, if there are enough updates for it.
LEVEL = 0.05

#: Random sets of queries of each size.
_DRAWS = 400


@dataclass(frozen=True)
class AccessAudit:
    """The result for one kind of access.

    Attributes:
        access: a key of ``ACCESSES``.
        statistic: the candidate's statistic over all queries, with its 95% interval by bootstrap over queries.
        null: the statistic of each benign update.
        p: rank of the candidate among the updates.
        level: level of the test whose power is given: 0.05, or the smallest p that the number of updates allows.
        power: for each number of queries, the share of random sets of them that reject; columns ``queries``, ``power``.
        queries: the smallest number of queries of the grid with a power of 0.95; None if all do not suffice.
    """

    access: str
    statistic: Estimate
    null: tuple[float, ...]
    p: float
    level: float
    power: pd.DataFrame
    queries: int | None


def values_of(pair: Pair) -> dict[str, Floats]:
    """The statistic of each kind of access on each query, ``[N]``."""
    return {
        "labels": (pair.p.prediction != pair.q.prediction).astype(np.float64),
        "probabilities": pair.kl,
        "logits": pair.logit_distance_centred(),
    }


def rank_p(candidate: float, null: Sequence[float]) -> float:
    """``(1 + #{null >= candidate}) / (1 + n)``."""
    return (1 + sum(value >= candidate for value in null)) / (1 + len(null))


def audit_values(
    candidate: Mapping[str, Floats], null: Sequence[Mapping[str, Floats]], *, seed: int
) -> list[AccessAudit]:
    """The audit from statistics on the same N queries.

    Args:
        candidate: kind of access to its values ``[N]``.
        null: the same of each benign update, at least one.
        seed: seed of the random sets of queries.
    """
    return [
        _audit_access(access, np.stack([values, *(update[access] for update in null)], axis=1), seed)
        for access, values in candidate.items()
    ]


def _audit_access(access: str, table: Floats, seed: int) -> AccessAudit:
    """The audit of one kind of access, from a table with a row for each query and the candidate's column first."""
    means = table.mean(axis=0)
    level = max(LEVEL, 1 / table.shape[1])
    rng = np.random.default_rng(seed)
    whole = resampled_means(rng, table, len(table), _DRAWS)
    rows = []
    for queries in sizes(len(table)):
        samples = resampled_means(rng, table, queries, _DRAWS)
        p = (1 + (samples[:, 1:] >= samples[:, :1]).sum(axis=1)) / table.shape[1]
        rows.append({"queries": queries, "power": float((p <= level + 1e-12).mean())})
    power = pd.DataFrame(rows)
    sufficient = power[power["power"] >= 1 - LEVEL]["queries"]
    return AccessAudit(
        access,
        Estimate(float(means[0]), *between_replicates(whole[:, 0], DECIMAL_TAILS)),
        tuple(float(value) for value in means[1:]),
        rank_p(means[0], means[1:].tolist()),
        level,
        power,
        int(sufficient.iloc[0]) if len(sufficient) else None,
    )


def sizes(count: int) -> list[int]:
    """Numbers of queries from 1 to all, three to a power of ten."""
    grid = {round(10 ** (step / 3)) for step in range(3 * 7)}
    return sorted({size for size in grid if size < count} | {count})


def queries_until_a_difference(churn: float) -> float:
    """Queries after which, with a chance of 95%, one label has differed: ``ln 0.05 / ln(1 - churn)``."""
    if churn <= 0:
        return math.inf
    return 1.0 if churn >= 1 else math.log(0.05) / math.log(1 - churn)


def largest_churn(queries: int) -> float:
    """Upper 95% bound of the churn if no label of ``queries`` queries differs: ``1 - 0.05^(1/N)``."""
    return float(1 - 0.05 ** (1 / queries))
