"""A comparison of two language models, made up: every part of it filled, with no model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from anchorlab.tokens.measurements import BROKEN_DOWN, MEASUREMENTS
from anchorlab.tokens.result import (
    Alternative,
    Measurement,
    Part,
    Passage,
    Scoring,
    ShownToken,
    TokenComparison,
)

TEXT = " The river was high that spring, and nobody crossed it before the first of May.\n Then the bridge came down."
TOKENS = tuple(f" {word}" for word in TEXT.split(" ")[1:])


def measurement(value: float | None, *, width: float = 0.1, undefined: str = "") -> Measurement:
    """A value with an interval of some relative width; none where it is 0."""
    ends = None if value is None or not width else (value - width * abs(value), value + width * abs(value))
    return Measurement(value=value, interval=ends, documents=40, tokens=12_340, undefined=undefined)


def measurements(kl: float = 0.0137, *, infinite: int = 0) -> dict[str, Measurement]:
    """Every measurement, the divergences lognormal about a mean."""
    quantile = np.exp(np.random.default_rng(0).normal(math.log(max(kl, 1e-12)) - 2, 2, 10_000))
    found = {}
    for name, record in MEASUREMENTS.items():
        if record.kind == "percentile" and record.limits[0] == 0:
            value = float(np.percentile(quantile, record.percent or 0)) if kl else 0.0
            found[name] = measurement(value, width=0.0 if record.percent == 99.9 else 0.2)
        elif record.kind == "percentile":
            found[name] = measurement(((record.percent or 0) - 50) / 500)
        elif record.kind == "count":
            found[name] = measurement(float(infinite), width=0)
        elif record.kind == "extreme":
            found[name] = measurement(0.0 if record.percent == 0 or not kl else 9.31, width=0)
        else:
            found[name] = measurement(_MEANS.get(name, kl))
    if infinite:
        found["kl_max"] = measurement(math.inf, width=0)
    return found


_MEANS = {
    "ppl_reference": 12.31,
    "ppl_candidate": 12.55,
    "ppl_ratio": 1.0195,
    "log_ppl_ratio": 0.0193,
    "same_top": 0.9512,
    "top_overlap": 0.93,
    "sure": 0.412,
    "sure_flips": 0.0031,
    "rank": 1.08,
    "nll_reference": 2.51,
    "nll_candidate": 2.53,
    "margin": 2.2,
}


def part(name: str, kl: float) -> Part:
    """A part of the tokens, every measurement of a breakdown by its mean KL."""
    values = dict.fromkeys(BROKEN_DOWN, kl) | {"same_top": 1 - kl, "sure_flips": kl / 5}
    return Part(name=name, measurements={key: measurement(value, width=0.3) for key, value in values.items()})


def passage(kl: float, *, text: str = " May", tokens: Sequence[str] = TOKENS, domain: str | None = "prose") -> Passage:
    """A token in its context, whose neighbours have every level of KL."""
    levels = (None, 0.0004, 0.02, 0.2, 0.9, 3.0, math.inf)
    shown = [ShownToken(text=each, kl=levels[number % len(levels)]) for number, each in enumerate(tokens)]
    half = len(shown) // 2
    return Passage(
        document=3,
        domain=domain,
        position=117,
        kl=kl,
        before=shown[:half],
        token=ShownToken(text=text, kl=kl),
        after=shown[half:],
        likeliest=[
            Alternative(text=text, reference=0.81, candidate=0.002),
            Alternative(text=" June", reference=0.11, candidate=0.97),
        ],
    )


def made_up(*, kl: float = 0.0137, infinite: int = 0, **fields: Any) -> TokenComparison:
    """A comparison whose mean KL is ``kl``, with some infinite tokens; ``fields`` replace its own."""
    whole: dict[str, Any] = {
        "reference": "models/v1",
        "candidate": "models/v2",
        "documents": 40,
        "tokens": 12_340,
        "measurements": measurements(kl, infinite=infinite),
        "by_position": [part(f"{2**n}–{2 ** (n + 1) - 1}", kl * (3 - n / 3)) for n in range(9)],
        "by_domain": [part("prose", kl), part("code", 3 * kl)],
        "noise": [part("the reference in batches of 1", kl / 1000)],
        "worst": [passage(math.inf), passage(9.31), passage(4.2, text="\n"), passage(0.3, text="")],
        "scoring": Scoring(
            context=512,
            stride=512,
            begins="<s>",
            precision_reference="float32",
            precision_candidate="int8",
            texts="texts.jsonl",
            text_column="text",
            domain_column="domain",
        ),
        "notes": ["the pad token is '<pad>' in the reference and '</s>' in the candidate"],
        "cautions": ["the texts have fewer than 20 documents: give more"],
    }
    return TokenComparison(**(whole | fields))
