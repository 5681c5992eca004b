"""What is measured between two causal language models: one record a measurement, by which pages and gates read it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

#: Columns of the table of tokens, a row a scored token, in this order.
COLUMNS = (
    "document",
    "position",
    "token",
    "kl",
    "kl_reverse",
    "js",
    "delta_p",
    "nll_reference",
    "nll_candidate",
    "same_top",
    "top_overlap",
    "rank",
    "margin",
)

#: Tokens that ``top_overlap`` compares.
TOP = 10

#: The reference is sure of its top token where it holds it for so many times as likely as the next one.
SURE = 10.0

#: Percentiles of what is never below 0, and of a difference, of which both ends matter.
UPPER = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
BOTH = (0.1, 1.0, 5.0, 10.0, 25.0, *UPPER)

Kind = Literal["mean", "rms", "percentile", "extreme", "count", "ratio"]


@dataclass(frozen=True)
class TokenMeasurement:
    """A measurement of a candidate against its reference over the scored tokens of some texts.

    Attributes:
        name: the key in JSON, in gates and in ``TokenComparison``.
        title: the heading of its column.
        definition: one sentence.
        column: the column of the table of tokens that it summarises.
        kind: how.
        unit: what a value is counted in; empty for a share or another pure number.
        percent: which percentile it is, 0 to 100; None for all else.
        limits: its least and its greatest value, to which intervals are cut.
        scale: ``log`` where values span powers of ten.
        better: which way lies the consistent model; empty where neither is better.
        is_main: whether the short table shows it.
    """

    name: str
    title: str
    definition: str
    column: str
    kind: Kind = "mean"
    unit: str = ""
    percent: float | None = None
    limits: tuple[float, float] = (0.0, math.inf)
    scale: Literal["linear", "log"] = "linear"
    better: Literal["lower", "higher", ""] = "lower"
    is_main: bool = False


def percentile_name(column: str, percent: float) -> str:
    """The name of a percentile, as in ``kl_p99`` and ``kl_p99_9``."""
    return f"{column}_p{percent:g}".replace(".", "_")


def _family(
    column: str,
    title: str,
    definition: str,
    *,
    unit: str = "nats",
    limits: tuple[float, float] = (0.0, math.inf),
    scale: Literal["linear", "log"] = "log",
    percents: tuple[float, ...] = UPPER,
    better: Literal["lower", ""] = "lower",
    main: tuple[str, ...] = (),
) -> list[TokenMeasurement]:
    """The mean of a column, its root mean square, its percentiles and its extremes."""
    parts: list[tuple[str, str, str, Kind, float | None]] = [
        (column, title, definition, "mean", None),
        (f"{column}_rms", f"{title}, root mean square", f"Root mean square of the {title}.", "rms", None),
        (f"{column}_min", f"least {title}", f"The least {title} of all scored tokens.", "extreme", 0.0),
    ]
    for percent in percents:
        words = "Median" if percent == 50 else f"{percent:g}th percentile"
        name = percentile_name(column, percent)
        parts.append((name, f"{title}, {words.lower()}", f"{words} of the {title} over tokens.", "percentile", percent))
    parts.append((f"{column}_max", f"greatest {title}", f"The greatest {title} of all tokens.", "extreme", 100.0))
    return [
        TokenMeasurement(
            name,
            heading,
            meaning,
            column,
            kind,
            unit,
            percent,
            limits=(0.0, math.inf) if kind == "rms" else limits,
            scale=scale,
            better="lower" if kind == "rms" else better,
            is_main=name in main,
        )
        for name, heading, meaning, kind, percent in parts
    ]


def _count(name: str, title: str, definition: str, column: str) -> TokenMeasurement:
    return TokenMeasurement(name, title, definition, column, "count", "tokens")


#: Name to measurement, in the order of tables.
MEASUREMENTS: dict[str, TokenMeasurement] = {
    each.name: each
    for each in [
        *_family(
            "kl",
            "KL",
            "Mean Kullback-Leibler divergence of the candidate's next-token probabilities from the reference's.",
            main=("kl", "kl_p50", "kl_p99", "kl_max"),
        ),
        _count(
            "kl_infinite", "infinite KL", "Tokens at which the candidate rules out what the reference allows.", "kl"
        ),
        *_family(
            "kl_reverse",
            "reverse KL",
            "Mean divergence of the reference's probabilities from the candidate's.",
            main=("kl_reverse",),
        ),
        _count(
            "kl_reverse_infinite",
            "infinite reverse KL",
            "Tokens at which the reference rules out what the candidate allows.",
            "kl_reverse",
        ),
        *_family(
            "js",
            "JS",
            "Mean Jensen-Shannon divergence of the probabilities.",
            limits=(0.0, math.log(2)),
            main=("js",),
        ),
        *_family(
            "delta_p",
            "change of the true token's probability",
            "Mean of the candidate's probability of the true next token less the reference's.",
            unit="",
            limits=(-1.0, 1.0),
            scale="linear",
            percents=BOTH,
            better="",
            main=("delta_p", "delta_p_rms"),
        ),
        TokenMeasurement(
            "nll_reference",
            "the reference's nll",
            "Mean negative log-probability of the true token under the reference.",
            "nll_reference",
            unit="nats",
            better="",
        ),
        TokenMeasurement(
            "nll_candidate",
            "the candidate's nll",
            "Mean negative log-probability of the true token under the candidate.",
            "nll_candidate",
            unit="nats",
            better="",
        ),
        _count(
            "nll_infinite", "infinite nll", "Tokens that the reference or the candidate rules out.", "nll_candidate"
        ),
        TokenMeasurement(
            "log_ppl_ratio",
            "log of the ratio of perplexities",
            "Mean of the candidate's nll less the reference's: the logarithm of the ratio of their perplexities.",
            "nll_candidate",
            unit="nats",
            limits=(-math.inf, math.inf),
            is_main=True,
        ),
        TokenMeasurement(
            "ppl_reference",
            "the reference's perplexity",
            "Exponential of the reference's mean nll.",
            "nll_reference",
            "ratio",
            limits=(1.0, math.inf),
            better="",
            is_main=True,
        ),
        TokenMeasurement(
            "ppl_candidate",
            "the candidate's perplexity",
            "Exponential of the candidate's mean nll.",
            "nll_candidate",
            "ratio",
            limits=(1.0, math.inf),
            better="",
            is_main=True,
        ),
        TokenMeasurement(
            "ppl_ratio",
            "ratio of perplexities",
            "The candidate's perplexity divided by the reference's.",
            "nll_candidate",
            "ratio",
        ),
        TokenMeasurement(
            "same_top",
            "same top token",
            "Share of tokens at which both models hold the same token for the likeliest.",
            "same_top",
            limits=(0.0, 1.0),
            better="higher",
            is_main=True,
        ),
        TokenMeasurement(
            "top_overlap",
            f"overlap of the top {TOP}",
            f"Mean share of the reference's {TOP} likeliest tokens that are among the candidate's {TOP} likeliest.",
            "top_overlap",
            limits=(0.0, 1.0),
            better="higher",
        ),
        TokenMeasurement(
            "rank",
            "rank of the reference's top token",
            "Mean rank that the candidate gives the reference's likeliest token; 1 is its own likeliest.",
            "rank",
            limits=(1.0, math.inf),
        ),
        TokenMeasurement(
            "rank_max",
            "worst rank of the reference's top token",
            "The greatest rank that the candidate gives the reference's likeliest token.",
            "rank",
            "extreme",
            percent=100.0,
            limits=(1.0, math.inf),
        ),
        TokenMeasurement(
            "margin",
            "the reference's margin",
            "Mean of the reference's largest logit less its second largest.",
            "margin",
            unit="nats",
            better="",
        ),
        TokenMeasurement(
            "sure",
            "the reference is sure",
            f"Share of tokens at which the reference's likeliest is at least {SURE:g} times as likely as its next.",
            "margin",
            limits=(0.0, 1.0),
            better="",
        ),
        TokenMeasurement(
            "sure_flips",
            "flips where the reference was sure",
            "Share of the tokens at which the reference is sure where the candidate's likeliest token is another.",
            "same_top",
            limits=(0.0, 1.0),
            is_main=True,
        ),
    ]
}

#: What breakdowns by position and domain hold, and noise floors.
BROKEN_DOWN = ("kl", "kl_reverse", "js", "delta_p", "log_ppl_ratio", "same_top", "sure_flips")
