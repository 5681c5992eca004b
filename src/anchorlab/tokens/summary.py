"""All measurements of the scored tokens, with intervals over documents; and the same by position and by domain."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.statistics.arrays import Floats, Integers
from anchorlab.statistics.documents import FEW_DOCUMENTS, ratio_of_sums, shares_at_the_ends
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.references import clopper_pearson
from anchorlab.tokens.measurements import BROKEN_DOWN, MEASUREMENTS, SURE, TokenMeasurement
from anchorlab.tokens.result import Measurement, Part
from anchorlab.tokens.store import TokenStore

#: Reads one column of the scored tokens, ``[N]``.
Column = Callable[[str], NDArray[Any]]

#: Domains that are shown, those of most tokens.
_DOMAINS = 30

#: Where documents differ by more than this, as standard deviation of the logarithms of their means, the interval of
#: the mean per token may be too narrow.
SKEWED = 0.3

#: The least coverage of the interval in experiments/documents, by how much documents differ, from 12 documents on.
LEAST_COVERAGE = ((0.45, 0.92), (0.6, 0.909), (1.05, 0.819))


class Tokens:
    """The scored tokens, or some of them, by document.

    Args:
        column: reads one of their columns.
        documents: number D of documents that there are.
        chosen: which tokens count, bool ``[N]``; None for all.
    """

    def __init__(self, column: Column, documents: int, chosen: NDArray[np.bool_] | None = None) -> None:
        self._column, self._count, self._chosen = column, documents, chosen
        self._of = self.column("document").astype(np.int64, copy=False)

    def column(self, name: str) -> NDArray[Any]:
        """The values of the tokens that count."""
        values = self._column(name)
        return values if self._chosen is None else values[self._chosen]

    def per_document(self, values: NDArray[Any]) -> Floats:
        """The sums over each document's tokens, float64 ``[D]``."""
        sums = np.bincount(self._of, weights=values.astype(np.float64, copy=False), minlength=self._count)
        return sums.astype(np.float64, copy=False)

    def counted(self, chosen: NDArray[np.bool_]) -> Integers:
        """How many of each document's tokens are chosen, int64 ``[D]``."""
        return np.bincount(self._of[chosen], minlength=self._count)

    def measure(self, names: Iterable[str] = MEASUREMENTS) -> dict[str, Measurement]:
        """Measurements by name."""
        return {name: self._measured(MEASUREMENTS[name]) for name in names}

    def _measured(self, record: TokenMeasurement) -> Measurement:
        if record.name == "nll_infinite":
            infinite = np.isinf(self.column("nll_reference")) | np.isinf(self.column("nll_candidate"))
            return self._counted_tokens(infinite)
        if record.kind == "count":
            return self._counted_tokens(np.isinf(self.column(record.column)))
        if record.kind in ("percentile", "extreme"):
            return self._quantile(record)
        return self._mean(record)

    def _counted_tokens(self, chosen: NDArray[np.bool_]) -> Measurement:
        """A number of tokens, which has no interval."""
        everywhere = self.counted(np.ones(len(chosen), dtype=bool))
        return Measurement(
            value=float(chosen.sum()),
            documents=int((everywhere > 0).sum()),
            tokens=len(chosen),
            undefined="a count has no interval",
        )

    def _mean(self, record: TokenMeasurement) -> Measurement:
        """A mean per token, over finite tokens, or what is made of one."""
        values, counts = self._values(record)
        if record.kind == "rms":
            values = values**2
        finite = np.isfinite(values) if counts is None else counts
        sums = self.per_document(np.where(finite, values, 0))
        tokens = self.counted(finite)
        estimate = ratio_of_sums(sums, tokens)
        if record.kind == "rms":
            estimate = _mapped(estimate, lambda value: math.sqrt(max(value, 0)))
        if record.kind == "ratio":
            estimate = _mapped(estimate, _exponential)
        if record.limits == (0.0, 1.0):
            estimate = _all_or_none(estimate)
        return _measurement(record, estimate, int(tokens.sum()))

    def _values(self, record: TokenMeasurement) -> tuple[Floats, NDArray[np.bool_] | None]:
        """The values whose mean a measurement is, ``[N]``, and which tokens they are of; None for the finite ones."""
        if record.name in ("log_ppl_ratio", "ppl_ratio"):
            with np.errstate(invalid="ignore"):
                change = self.column("nll_candidate") - self.column("nll_reference")
            return np.asarray(change), None
        if record.name in ("sure", "sure_flips"):
            is_sure = self.column("margin") >= math.log(SURE)
            if record.name == "sure":
                return is_sure.astype(np.float64), None
            return 1.0 - self.column("same_top").astype(np.float64), is_sure
        return self.column(record.column).astype(np.float64, copy=False), None

    def _quantile(self, record: TokenMeasurement) -> Measurement:
        """A percentile, or an extreme, over all tokens, infinite ones included."""
        values = self.column(record.column)
        if not len(values):
            return _measurement(record, Estimate(None, units=0), 0)
        tokens = self.counted(np.ones(len(values), dtype=bool))
        documents, percent = int((tokens > 0).sum()), record.percent or 0.0
        ordered = np.sort(values)
        value = quantile(ordered, percent / 100)
        found = Measurement(value=value, documents=documents, tokens=len(values))
        if record.kind == "extreme":
            return found.model_copy(update={"undefined": "an extreme has no interval"})
        below = self.counted(np.asarray(values <= value))
        ends = shares_at_the_ends(below, tokens)
        if ends is None:
            return found.model_copy(update={"undefined": "fewer than ten documents lie beyond it"})
        return found.model_copy(update={"interval": (quantile(ordered, ends[0]), quantile(ordered, ends[1]))})

    def spread(self) -> float | None:
        """The standard deviation of the logarithms of the documents' mean KL; None below two documents, or with a 0."""
        values = self.column("kl")
        finite = np.isfinite(values)
        sums, tokens = self.per_document(np.where(finite, values, 0)), self.counted(finite)
        means = sums[tokens > 0] / tokens[tokens > 0]
        if len(means) < 2 or means.min() <= 0:
            return None
        return float(np.log(means).std(ddof=1))


def quantile(ordered: NDArray[Any], share: float) -> float:
    """The value below which a share of ordered values lies, interpolated between neighbours as numpy does it."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    first, second = float(ordered[low]), float(ordered[min(low + 1, len(ordered) - 1)])
    return first if first == second or place == low else first + (place - low) * (second - first)


def by_position(store: TokenStore, documents: int, context: int) -> list[Part]:
    """The main measurements by how many tokens were read before, in classes that double."""
    positions, parts = store.column("position"), []
    for power in range(context.bit_length()):
        first, last = 2**power, min(2 ** (power + 1) - 1, context)
        chosen = np.asarray((positions >= first) & (positions <= last))
        if chosen.any():
            name = f"{first}–{last}" if last > first else str(first)
            parts.append(Part(name=name, measurements=Tokens(store.column, documents, chosen).measure(BROKEN_DOWN)))
    return parts


def by_domain(store: TokenStore, domains: Sequence[str | None]) -> list[Part]:
    """The main measurements by domain, those of most tokens first.

    Args:
        store: the scored tokens.
        domains: the domain of each document, ``[D]``.
    """
    names = sorted({domain for domain in domains if domain is not None})
    number = {name: place for place, name in enumerate(names)}
    of_document = np.array([-1 if domain is None else number[domain] for domain in domains], dtype=np.int64)
    if not names:
        return []
    of_token = of_document[store.column("document")]
    sizes = np.bincount(of_token[of_token >= 0], minlength=len(names))
    parts = []
    for place in np.argsort(-sizes, kind="stable")[:_DOMAINS]:
        chosen = np.asarray(of_token == place)
        if chosen.any():
            tokens = Tokens(store.column, len(domains), chosen)
            parts.append(Part(name=names[place], measurements=tokens.measure(BROKEN_DOWN)))
    return parts


def cautions_of(tokens: Tokens, measurements: dict[str, Measurement]) -> list[str]:
    """What the numbers cannot mean, each with its likeliest cure."""
    found = []
    documents = measurements["kl"].documents
    if documents == 1:
        found.append("one document has no interval, because nothing says how documents differ: give 20 or more")
    elif documents < FEW_DOCUMENTS:
        found.append(
            f"the intervals over {documents} documents may be too narrow, because few documents say little about how "
            f"documents differ: give {FEW_DOCUMENTS} or more"
        )
    spread = tokens.spread()
    if spread is not None and spread > SKEWED and documents > 1:
        least = next((coverage for limit, coverage in LEAST_COVERAGE if spread <= limit), None)
        how = "less than any that was simulated" if least is None else f"as little as {100 * least:.0f}% in simulations"
        found.append(
            f"the documents' mean KLs differ much (standard deviation of their logarithms {spread:.2f}), so that 95% "
            f"intervals of means may cover less, {how}: give more documents"
        )
    infinite = {name: measurements[name].value for name in ("kl_infinite", "kl_reverse_infinite", "nll_infinite")}
    if any(infinite.values()):
        words = ", ".join(f"{value:,.0f} of {MEASUREMENTS[name].title}" for name, value in infinite.items() if value)
        found.append(f"means leave infinite tokens out ({words}): a bound on the mean is broken where there are any")
    return found


def _mapped(estimate: Estimate, function: Callable[[float], float]) -> Estimate:
    ends = (None if end is None else function(end) for end in (estimate.value, estimate.lower, estimate.upper))
    value, lower, upper = ends
    return replace(estimate, value=value, lower=lower, upper=upper)


def _exponential(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _all_or_none(estimate: Estimate) -> Estimate:
    """A share that is 0 or 1 in all documents gets Clopper and Pearson's interval of as many documents."""
    if estimate.bounds is None or estimate.units is None or estimate.value not in (0.0, 1.0):
        return estimate
    lower, upper = clopper_pearson(estimate.units, int(estimate.value))
    return replace(estimate, lower=lower, upper=upper)


def _measurement(record: TokenMeasurement, estimate: Estimate, tokens: int) -> Measurement:
    """An estimate as a measurement, its interval cut to the limits, and why something is missing."""
    undefined, interval = "", None
    if estimate.value is None:
        undefined = "no token is finite" if record.name != "sure_flips" else "the reference is sure of no token"
    elif estimate.bounds is None:
        undefined = "one document has no interval"
    else:
        low, high = record.limits
        interval = max(estimate.bounds[0], low), min(estimate.bounds[1], high)
    return Measurement(
        value=estimate.value, interval=interval, documents=estimate.units or 0, tokens=tokens, undefined=undefined
    )
