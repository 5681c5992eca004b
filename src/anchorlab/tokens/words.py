"""A comparison of two language models in sentences: does the candidate still answer like the reference?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from anchorlab.statistics.counted import several
from anchorlab.statistics.numbers import significant
from anchorlab.tokens.measurements import SURE

if TYPE_CHECKING:
    from anchorlab.tokens.result import Measurement, TokenComparison


def words_of_tokens(comparison: TokenComparison) -> tuple[str, ...]:
    """What was found, in a few sentences: divergence, perplexity, top tokens, and what the reference's own noise is."""
    return (
        *_weights(comparison),
        *_divergence(comparison),
        *_perplexity(comparison),
        *_top(comparison),
        *_noise(comparison),
    )


def _weights(comparison: TokenComparison) -> Iterator[str]:
    if comparison.identical_weights:
        yield "All weights of the two models are equal, so that only their configurations can differ."


def _divergence(comparison: TokenComparison) -> Iterator[str]:
    over = f"{several(comparison.tokens, 'token')} of {several(comparison.documents, 'document')}"
    kl, infinite = comparison.measurements.get("kl"), _value(comparison, "kl_infinite") or 0
    worst = _value(comparison, "kl_max")
    if worst == 0 and comparison.scoring.base_file:
        yield f"The base file shows no difference between candidate and reference: every KL is 0 on {over}."
        return
    if worst == 0:
        yield f"The candidate answers exactly like the reference: every KL is 0 on {over}."
        return
    if kl is not None and kl.value is not None:
        tail = _value(comparison, "kl_p99")
        rare = "" if tail is None else f"; one token in a hundred has more than {number(tail)}"
        most = "" if worst is None or not math.isfinite(worst) else f", the worst {number(worst)}"
        yield f"The mean KL is {with_interval(kl)} nats over {over}{rare}{most}."
        if not infinite and not comparison.scoring.base_file:  # whose KL is the least that is possible
            moved = share(most_moved(kl.value))
            yield f"So on average at most {moved} of the next token's probability has moved to other tokens."
    if infinite:
        yield (
            f"At {several(round(infinite), 'token')} the candidate rules out what the reference allows: the KL is "
            "infinite there, and these tokens are in no mean."
        )


def most_moved(kl: float) -> float:
    """The largest mean total variation distance that a mean KL allows, a share.

    At each token it is at most ``sqrt(KL / 2)`` (Pinsker) and ``sqrt(1 - exp(-KL))`` (Bretagnolle and Huber). Both are
    concave in the KL, so that they hold for means as well.
    """
    return min(math.sqrt(kl / 2), math.sqrt(-math.expm1(-kl)))


def _perplexity(comparison: TokenComparison) -> Iterator[str]:
    ratio = comparison.measurements.get("ppl_ratio")
    ours, theirs = _value(comparison, "ppl_candidate"), _value(comparison, "ppl_reference")
    if ratio is None or ratio.value is None or ours is None or theirs is None:
        return
    sentence = (
        f"The candidate's perplexity is {number(ours, 4)} against the reference's {number(theirs, 4)}, a ratio of "
        f"{with_interval(ratio, 4)}"
    )
    if ratio.interval is not None:
        low, high = ratio.interval
        if low <= 1 <= high:
            sentence += ", which cannot be distinguished from 1"
        else:
            sentence += f": it predicts these texts {'better' if high < 1 else 'worse'}"
    yield f"{sentence}."
    left_out = round(_value(comparison, "nll_infinite") or 0)
    if left_out:
        yield f"The perplexities leave out {several(left_out, 'token')} that a model rules out."


def _top(comparison: TokenComparison) -> Iterator[str]:
    same = comparison.measurements.get("same_top")
    if same is None or same.value is None:
        return
    sentence = f"Both models hold the same token for the likeliest at {with_interval(same, write=share)} of the tokens"
    flips, sure = comparison.measurements.get("sure_flips"), _value(comparison, "sure")
    if flips is not None and flips.value is not None and sure is not None:
        sentence += (
            f"; where the reference is sure (its likeliest token is {SURE:g} times as likely as the next one or more), "
            f"at {share(sure)} of the tokens, the candidate's likeliest is another at "
            f"{with_interval(flips, write=share)} of them"
        )
    yield f"{sentence}."


def _noise(comparison: TokenComparison) -> Iterator[str]:
    for part in comparison.noise:
        floor = part.measurements.get("kl")
        if floor is not None and floor.value is not None:
            yield f"The noise floor, {part.name}, is a mean KL of {with_interval(floor)} nats."


def with_interval(measurement: Measurement, digits: int = 3, *, write: Callable[[float], str] | None = None) -> str:
    """A measurement with its interval, as in ``0.0137 [0.0112, 0.0166]``.

    Args:
        measurement: what was measured.
        digits: significant digits of a number.
        write: writes a number in another way.
    """

    def written(value: float) -> str:
        return number(value, digits) if write is None else write(value)

    return measurement.estimate.text(written)


def number(value: float, digits: int = 3) -> str:
    """A number with some significant digits; infinite ones as the sign."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return significant(value, digits)


def share(value: float) -> str:
    """A share in percent: 97.23%."""
    return f"{100 * value:.2f}%"


def _value(comparison: TokenComparison, name: str) -> float | None:
    measurement = comparison.measurements.get(name)
    return None if measurement is None else measurement.value
