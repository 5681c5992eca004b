"""What an audit of language models measures of each model: one record a statistic, by the access that it needs.

The poorest access gives sampled tokens, the next one the log-probabilities of the k likeliest tokens, and the richest
one all logits. Each access has one main statistic, by which it is judged, and others that the joint test looks at too.
None is negative, so that the joint test can take logarithms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from anchorlab.scoring.token_answers import Seen
from anchorlab.statistics.arrays import Floats
from anchorlab.statistics.documents import ratio_of_sums
from anchorlab.statistics.estimate import Estimate
from anchorlab.tokens.store import TokenStore
from anchorlab.tokens.summary import Tokens, all_or_none

TokenAccess = Literal["samples", "top-k", "logits"]

#: The share of tokens whose part in the whole KL is ``kl_tail``.
TAIL = 0.01


@dataclass(frozen=True)
class TokenStatistic:
    """A statistic of a model against its reference.

    Attributes:
        name: the key in JSON and in gates.
        access: the poorest access that allows it.
        title: what tables call it.
        definition: one sentence.
        is_main: whether its access is judged by it.
    """

    name: str
    access: TokenAccess
    title: str
    definition: str
    is_main: bool = False


#: Name to statistic, those of the poorest access first.
TOKEN_STATISTICS: dict[str, TokenStatistic] = {
    each.name: each
    for each in [
        TokenStatistic(
            "sampled_tv",
            "samples",
            "distance of sampled tokens",
            "Mean total variation distance of the counts of both models' sampled tokens, over prompts.",
            is_main=True,
        ),
        TokenStatistic(
            "sampled_new",
            "samples",
            "sampled tokens that are new",
            "Share of the candidate's sampled tokens that are not among the reference's samples at the same prompt.",
        ),
        TokenStatistic(
            "top_tv",
            "top-k",
            "distance of the likeliest tokens",
            "Mean over tokens of the least total variation distance that both lists of k likeliest tokens allow.",
            is_main=True,
        ),
        TokenStatistic(
            "top_missing",
            "top-k",
            "likeliest tokens that are missing",
            "Mean share of the reference's k likeliest tokens that are not among the candidate's.",
        ),
        TokenStatistic(
            "flips", "top-k", "flips of the top token", "Share of tokens at which the likeliest token is another one."
        ),
        TokenStatistic(
            "kl",
            "logits",
            "mean KL",
            "Mean Kullback-Leibler divergence from the reference over tokens; infinite if one token's is.",
            is_main=True,
        ),
        TokenStatistic("kl_p99", "logits", "99th percentile of KL", "99th percentile of the KL over tokens."),
        TokenStatistic(
            "kl_tail",
            "logits",
            "share of KL in 1% of tokens",
            "Share of all KL that lies in the 1% of tokens of largest KL: near 1 where few tokens change.",
        ),
        TokenStatistic(
            "sure_flips",
            "logits",
            "flips where the reference was sure",
            "Share of flips among tokens at which the reference's likeliest is ten times as likely as the next one.",
        ),
        TokenStatistic(
            "ppl_ratio",
            "logits",
            "ratio of perplexities",
            "The model's perplexity divided by the reference's: above 1 where it predicts the texts worse.",
        ),
    ]
}

#: Kind of access to its main statistic, the poorest first.
MAIN: dict[TokenAccess, str] = {each.access: each.name for each in TOKEN_STATISTICS.values() if each.is_main}


def measured(store: TokenStore, seen: Seen, documents: int) -> dict[str, Estimate]:
    """All statistics of one model, with 95% intervals over documents where they have one.

    Args:
        store: the scored tokens of the model against its reference.
        seen: what was seen of its answers beside.
        documents: number of documents that were read.
    """
    tokens = Tokens(store.column, documents)
    ones = tokens.per_document(np.ones(store.tokens))

    def mean(values: Floats) -> Estimate:
        return _shared(ratio_of_sums(tokens.per_document(values), ones))

    kl = np.asarray(store.column("kl"))
    own = tokens.measure(("kl", "kl_p99", "sure_flips", "ppl_ratio"))
    sampled = np.bincount(seen.asked, minlength=documents)
    found = {
        "sampled_tv": _shared(ratio_of_sums(np.bincount(seen.asked, seen.sampled_tv, documents), sampled)),
        "sampled_new": _shared(ratio_of_sums(np.bincount(seen.asked, seen.sampled_new, documents), sampled)),
        "top_tv": mean(seen.top_tv),
        "top_missing": mean(seen.top_missing),
        "flips": mean(1.0 - np.asarray(store.column("same_top"), dtype=np.float64)),
        "kl": own["kl"].estimate if np.isfinite(kl).all() else Estimate(np.inf),
        "kl_p99": own["kl_p99"].estimate,
        "kl_tail": Estimate(tail_share(kl)),
        "sure_flips": own["sure_flips"].estimate,
        "ppl_ratio": own["ppl_ratio"].estimate,
    }
    return {name: found[name] for name in TOKEN_STATISTICS}


def tail_share(kl: Floats) -> float:
    """The share of the sum of KL ``[N]`` that the largest 1% of its values have, at least one; 0 if all are 0."""
    finite = np.sort(kl[np.isfinite(kl)])
    if len(finite) < len(kl):
        return 1.0
    total = finite.sum()
    return float(finite[-max(1, round(TAIL * len(finite))) :].sum() / total) if total > 0 else 0.0


def _shared(estimate: Estimate) -> Estimate:
    """The estimate of a share, its interval cut to 0 and 1; one that is 0 or 1 has an interval with a width too."""
    estimate = all_or_none(estimate)
    if estimate.bounds is None:
        return estimate
    low, high = estimate.bounds
    return Estimate(estimate.value, max(0.0, low), min(1.0, high), units=estimate.units)
