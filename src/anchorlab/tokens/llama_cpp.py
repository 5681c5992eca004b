"""What ``llama-perplexity --kl-divergence`` measures, by its definitions.

Source: tools/perplexity/perplexity.cpp of ggml-org/llama.cpp. They differ from ours in these points:

- the text is one row of tokens, cut into chunks of one context, and of each chunk only the second half is scored:
  positions ``context // 2`` to ``context - 2``, each by its next token;
- the divergence KL(base ‖ Q) leaves out the entries that the base gives a log-probability of at most −16, so that it
  can be negative;
- the uncertainty, written ``±``, is one standard error that takes the tokens as independent.

Beside it stands our interval over chunks, because the tokens of a chunk share their context.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from anchorlab.statistics.arrays import Floats, Integers
from anchorlab.statistics.estimate import LEVEL

#: An entry counts for the divergence only if its log-probability in the base is above this, in nats.
RULE = -16.0

#: Fewer tokens than this make llama.cpp print no statistics.
ENOUGH_TOKENS = 100

#: Percentiles that are printed, of the divergence and of the change in probability, the greatest first.
_OF_KL = (99.9, 99.0, 95.0, 90.0, 50.0, 10.0, 5.0, 1.0, 0.1)
_OF_DELTA_P = (99.9, 99.0, 95.0, 90.0, 75.0, 50.0, 25.0, 10.0, 5.0, 1.0, 0.1)


def scored_positions(context: int) -> slice:
    """The positions of a chunk whose next tokens are scored: its second half without its last position."""
    return slice(context // 2, context - 1)


@dataclass(frozen=True)
class Scored:
    """What is measured at each scored token, each ``[N]``.

    Attributes:
        kl: KL(base ‖ Q) without the entries of ``RULE``, in nats.
        nll_base: negative log-likelihood of the true token in the base, in nats.
        nll: the same in the candidate Q.
        same_top: whether both have the same likeliest token; of equal ones, the first.
    """

    kl: Floats
    nll_base: Floats
    nll: Floats
    same_top: NDArray[np.bool_]

    @property
    def delta_p(self) -> Floats:
        """Probability of the true token in the candidate, less that in the base."""
        return np.asarray(np.exp(-self.nll) - np.exp(-self.nll_base))


def score(base: Floats, candidate: Floats, true: Integers) -> Scored:
    """What is measured of some rows.

    Args:
        base: log-probabilities of the base, float64 ``[N, V]``.
        candidate: log-probabilities of the candidate, float64 ``[N, V]``; ``-inf`` makes the divergence infinite where
            the base gives the entry mass.
        true: the next tokens, integer ``[N]``.
    """
    counts = base > RULE
    terms = np.exp(base, where=counts, out=np.zeros_like(base))
    terms *= np.subtract(base, candidate, where=counts, out=np.zeros_like(base))
    rows = np.arange(len(true))
    same = base.argmax(axis=1) == candidate.argmax(axis=1)
    return Scored(terms.sum(axis=1), -base[rows, true], -candidate[rows, true], same)


def log_probabilities(logits: NDArray[np.floating]) -> Floats:
    """The logarithm of the softmax of logits ``[N, V]``, float64."""
    exact = np.asarray(logits, dtype=np.float64)
    shifted = exact - exact.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def joined(parts: list[Scored]) -> Scored:
    """Several pieces, one after the other."""
    columns = ("kl", "nll_base", "nll", "same_top")
    return Scored(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


@dataclass(frozen=True)
class Entry:
    """One statistic of the block.

    Attributes:
        value: of the statistic; rates and changes in probability are fractions of 1.
        error: llama.cpp's uncertainty, one standard error with tokens as independent; None where it prints none.
        interval: our 95% interval over chunks; None where there is none.
    """

    value: float
    error: float | None = None
    interval: tuple[float, float] | None = None


Block: TypeAlias = Mapping[str, Entry]


def block_of(scored: Scored, chunks: int) -> Block:
    """The statistics that llama.cpp prints at its end, by our names.

    Args:
        scored: what was measured at each token, chunk after chunk, as many tokens of each.
        chunks: number of chunks.

    Returns:
        The statistics in the order of ``anchorlab.tokens.llama_block.LINES``.
    """
    with np.errstate(all="ignore"):  # infinite divergences make NaNs of the uncertainties, which are printed as such
        return {
            **_perplexities(scored, chunks),
            **_divergences(scored.kl, chunks),
            **_changes(scored.delta_p, chunks),
            "same_top": _agreement(scored.same_top, chunks),
        }


def _perplexities(scored: Scored, chunks: int) -> Block:
    q, base = _Mean.of(scored.nll, chunks), _Mean.of(scored.nll_base, chunks)
    difference = _Mean.of(scored.nll - scored.nll_base, chunks)
    covariance = _covariance(scored.nll, scored.nll_base)
    ratio = _Mean(difference.value, _root(q.error**2 + base.error**2 - 2 * covariance), difference.half)
    ppl, ppl_base = _exp(q.value), _exp(base.value)
    linear = _Mean.of(ppl * scored.nll - ppl_base * scored.nll_base, chunks)
    squared = (ppl * q.error) ** 2 + (ppl_base * base.error) ** 2 - 2 * ppl * ppl_base * covariance
    return {
        "ppl_candidate": q.exponential(),
        "ppl_reference": base.exponential(),
        "nll_correlation": Entry(float(np.divide(covariance, q.error * base.error))),
        "log_ppl_ratio": ratio.entry(),
        "ppl_ratio": ratio.exponential(),
        "ppl_difference": _Mean(ppl - ppl_base, _root(squared), linear.half).entry(),
    }


def _divergences(kl: Floats, chunks: int) -> Block:
    return {"kl": _Mean.of(kl, chunks).entry(), **_order_statistics("kl", kl, _OF_KL)}


def _changes(delta_p: Floats, chunks: int) -> Block:
    return {
        "delta_p": _Mean.of(delta_p, chunks).entry(),
        **_order_statistics("delta_p", delta_p, _OF_DELTA_P),
        "delta_p_rms": _Mean.of(delta_p**2, chunks).root(),
    }


def _agreement(same_top: NDArray[np.bool_], chunks: int) -> Entry:
    mean = _Mean.of(same_top.astype(np.float64), chunks)
    return Entry(mean.value, mean.error, mean.interval(lambda end: min(max(end, 0.0), 1.0)))


def _order_statistics(name: str, values: Floats, percents: tuple[float, ...]) -> Block:
    """The greatest value, the percentiles, and the least value."""
    ordered = np.sort(values)
    between = {
        f"{name}_p{percent:g}".replace(".", "_"): Entry(_quantile(ordered, percent / 100)) for percent in percents
    }
    return {f"{name}_max": Entry(float(ordered[-1])), **between, f"{name}_min": Entry(float(ordered[0]))}


def _quantile(ordered: Floats, share: float) -> float:
    """Linear between the neighbours of the position ``share * (N - 1)``; values may be infinite."""
    below, part = divmod(share * (len(ordered) - 1), 1)
    low, high = (float(ordered[min(int(below) + step, len(ordered) - 1)]) for step in (0, 1))
    return low if part == 0 or low == high else low + part * (high - low)


@dataclass(frozen=True)
class _Mean:
    """A mean over tokens.

    Attributes:
        value: the mean.
        error: one standard error, tokens as independent.
        half: half the width of our interval over chunks; None where there is none.
    """

    value: float
    error: float
    half: float | None

    @classmethod
    def of(cls, values: Floats, chunks: int) -> _Mean:
        """Of the values of all tokens, ``[N]``, of which each chunk has as many, one after the other."""
        error = _root(float(np.var(values)) / max(len(values) - 1, 1))
        return cls(float(np.mean(values)), error, _half_width(values.reshape(chunks, -1).mean(axis=1)))

    def interval(self, end: Callable[[float], float] = float) -> tuple[float, float] | None:
        """Our interval, each end through a rising function; none where it is not finite, or where nothing varies."""
        if self.half is None:
            return None
        return end(self.value - self.half), end(self.value + self.half)

    def entry(self) -> Entry:
        return Entry(self.value, self.error, self.interval())

    def exponential(self) -> Entry:
        """The exponential of the mean: the perplexity of a mean negative log-likelihood."""
        value = _exp(self.value)
        return Entry(value, value * self.error, self.interval(_exp))

    def root(self) -> Entry:
        """The root of the mean; where that is 0, its uncertainty is too, for which llama.cpp prints no number."""
        value = math.sqrt(self.value)
        return Entry(value, 0.5 / value * self.error if value else 0.0, self.interval(_root))


def _half_width(means: Floats) -> float | None:
    """Half the width of Student's t interval over chunks; None for one chunk, or where nothing varies."""
    if len(means) < 2:
        return None
    half = float(t.ppf((1 + LEVEL) / 2, len(means) - 1) * np.std(means, ddof=1) / math.sqrt(len(means)))
    return half if math.isfinite(half) and half > 0 else None


def _covariance(first: Floats, second: Floats) -> float:
    """The covariance of two means over tokens, as llama.cpp estimates it."""
    return float(np.mean((first - first.mean()) * (second - second.mean())) / max(len(first) - 1, 1))


def _exp(logarithm: float) -> float:
    """The exponential; infinite where it is too large."""
    return float(np.exp(logarithm))


def _root(square: float) -> float:
    """The square root of what only rounding makes negative."""
    return math.sqrt(square) if square > 0 else 0.0 if square <= 0 else math.nan
