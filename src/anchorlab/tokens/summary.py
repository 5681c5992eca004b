"""All measurements of the scored tokens, with intervals over documents; and the same by position and by domain."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anchorlab.statistics.arrays import Floats, Integers
from anchorlab.statistics.documents import FEW_DOCUMENTS, ratio_of_sums, shares_at_the_ends
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.references import clopper_pearson
from anchorlab.tokens.measurements import BROKEN_DOWN, MEASUREMENTS, SURE, TokenMeasurement
from anchorlab.tokens.ordered import Ordered
from anchorlab.tokens.result import Measurement, Part
from anchorlab.tokens.store import TokenStore

#: Gives one column of the scored tokens, ``[N]``, of which slices are read.
Column = Callable[[str], Any]

#: From values of columns, ``[n]``, to which of their tokens are chosen, bool ``[n]``.
Choice = Callable[..., Any]

#: From values of columns, ``[n]``, to a value of each token, and which tokens have one.
Valued = Callable[..., tuple[NDArray[Any], NDArray[np.bool_]]]

#: Tokens that memory holds at once: 1 MB a column.
PIECE = 2**17

#: Domains that are shown, those of most tokens.
_DOMAINS = 30

#: Where documents differ by more than this, as standard deviation of the logarithms of their means, the interval of
#: the mean per token may be too narrow.
SKEWED = 0.3

#: The least coverage of the interval in experiments/documents, by how much documents differ, from 12 documents on.
LEAST_COVERAGE = ((0.45, 0.92), (0.6, 0.909), (1.05, 0.819))


class Tokens:
    """The scored tokens, or some of them, by document. Memory holds ``PIECE`` of them at once, and sums by document.

    Args:
        column: gives one of their columns; documents come in ascending order.
        documents: number D of documents that there are.
        chosen: a column, and which of its values are those of tokens that count, bool ``[n]``; None for all.
    """

    def __init__(self, column: Column, documents: int, chosen: tuple[str, Choice] | None = None) -> None:
        self._column, self._documents, self._chosen = column, documents, chosen
        self._ordered: tuple[str, Ordered] | None = None

    def _pieces(self, *names: str) -> Iterator[tuple[NDArray[Any], ...]]:
        """The documents of the tokens that count, and columns of them, some tokens at a time."""
        columns = [self._column(name) for name in ("document", *names)]
        deciding = None if self._chosen is None else self._column(self._chosen[0])
        for start in range(0, len(columns[0]), PIECE):
            rows = slice(start, start + PIECE)
            found = tuple(np.asarray(values[rows]) for values in columns)
            if deciding is not None and self._chosen is not None:
                counts = self._chosen[1](np.asarray(deciding[rows]))
                found = tuple(values[counts] for values in found)
            if len(found[0]):
                yield found

    def per_document(self, values: NDArray[Any]) -> Floats:
        """The sums over each document's tokens, float64 ``[D]``, of values of all tokens, ``[N]``."""
        sums = np.bincount(np.asarray(self._column("document")), values.astype(np.float64), self._documents)
        return sums.astype(np.float64, copy=False)

    def sums(self, names: Iterable[str], value: Valued) -> tuple[Floats, Integers]:
        """The sums of a value over each document's tokens, float64 ``[D]``, and how many have one, int64 ``[D]``.

        Args:
            names: the columns that it is made of.
            value: from them to the value of each token, and which tokens have one.
        """
        sums, tokens = np.zeros(self._documents), np.zeros(self._documents, dtype=np.int64)
        for of, *columns in self._pieces(*names):
            values, counts = value(*columns)
            first, last = int(of[0]), int(of[-1]) + 1
            own = (of - first).astype(np.int64)
            sums[first:last] += np.bincount(own, np.where(counts, values, 0), last - first)
            tokens[first:last] += np.bincount(own[counts], minlength=last - first)
        return sums, tokens

    def counted(self, names: Iterable[str] = (), chosen: Choice = lambda *columns: True) -> Integers:
        """How many of each document's tokens are chosen, int64 ``[D]``, by the values of columns."""
        found = np.zeros(self._documents, dtype=np.int64)
        for of, *columns in self._pieces(*names):
            found += np.bincount(of[np.broadcast_to(chosen(*columns), of.shape)], minlength=self._documents)
        return found

    def measure(self, names: Iterable[str] = MEASUREMENTS) -> dict[str, Measurement]:
        """Measurements by name."""
        return {name: self._measured(MEASUREMENTS[name]) for name in names}

    def _measured(self, record: TokenMeasurement) -> Measurement:
        if record.name == "nll_infinite":
            return self._infinite("nll_reference", "nll_candidate")
        if record.kind == "count":
            return self._infinite(record.column)
        if record.kind in ("percentile", "extreme"):
            return self._quantile(record)
        return self._mean(record)

    def _infinite(self, *names: str) -> Measurement:
        """A number of tokens of which one of some columns is infinite; it has no interval."""
        chosen = self.counted(names, lambda *columns: np.any(np.isinf(columns), axis=0))
        everywhere = self.counted()
        return Measurement(
            value=float(chosen.sum()),
            documents=int((everywhere > 0).sum()),
            tokens=int(everywhere.sum()),
            undefined="a count has no interval",
        )

    def _mean(self, record: TokenMeasurement) -> Measurement:
        """A mean per token, over finite tokens, or what is made of one."""
        sums, tokens = self.sums(*_valued(record))
        estimate = ratio_of_sums(sums, tokens)
        if record.kind == "rms":
            estimate = _mapped(estimate, lambda value: math.sqrt(max(value, 0)))
        if record.kind == "ratio":
            estimate = _mapped(estimate, _exponential)
        if record.limits == (0.0, 1.0):
            estimate = all_or_none(estimate)
        return _measurement(record, estimate, int(tokens.sum()))

    def _quantile(self, record: TokenMeasurement) -> Measurement:
        """A percentile, or an extreme, over all tokens, infinite ones included."""
        ordered = self._in_order(record.column)
        if not len(ordered):
            return _measurement(record, Estimate(None, units=0), 0)
        tokens = self.counted()
        documents, percent = int((tokens > 0).sum()), record.percent or 0.0
        value = quantile(ordered, percent / 100)
        found = Measurement(value=value, documents=documents, tokens=len(ordered))
        if record.kind == "extreme":
            return found.model_copy(update={"undefined": "an extreme has no interval"})
        below = self.counted([record.column], lambda values: values <= value)
        ends = shares_at_the_ends(below, tokens, percent / 100)
        if ends is None:
            return found.model_copy(update={"undefined": "fewer than ten documents lie beyond it"})
        return found.model_copy(update={"interval": (quantile(ordered, ends[0]), quantile(ordered, ends[1]))})

    def _in_order(self, name: str) -> Ordered:
        """A column in order. The last one is kept, because a column's percentiles are measured one after the other."""
        if self._ordered is None or self._ordered[0] != name:
            self._ordered = name, Ordered(values for _, values in self._pieces(name))
        return self._ordered[1]

    def spread(self) -> float | None:
        """The standard deviation of the logarithms of the documents' mean KL; None below two documents, or with a 0."""
        sums, tokens = self.sums(["kl"], _finite)
        means = sums[tokens > 0] / tokens[tokens > 0]
        if len(means) < 2 or means.min() <= 0:
            return None
        return float(np.log(means).std(ddof=1))


def _finite(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    return values, np.isfinite(values)


def _valued(record: TokenMeasurement) -> tuple[tuple[str, ...], Valued]:
    """The columns of the value whose mean a measurement is, and the value."""
    if record.name in ("log_ppl_ratio", "ppl_ratio"):
        return ("nll_candidate", "nll_reference"), _change
    if record.name == "sure":
        return ("margin",), lambda margin: _finite((margin >= math.log(SURE)).astype(np.float64))
    if record.name == "sure_flips":
        return ("same_top", "margin"), lambda same, margin: (1.0 - same, margin >= math.log(SURE))
    if record.kind == "rms":
        return (record.column,), lambda values: _finite(values.astype(np.float64) ** 2)
    return (record.column,), _finite


def _change(candidate: Floats, reference: Floats) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    with np.errstate(invalid="ignore"):
        return _finite(candidate - reference)


def quantile(ordered: NDArray[Any] | Ordered, share: float) -> float:
    """The value below which a share of ordered values lies, interpolated between neighbours as numpy does it."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    first, second = float(ordered[low]), float(ordered[min(low + 1, len(ordered) - 1)])
    return first if first == second or place == low else first + (place - low) * (second - first)


def by_position(store: TokenStore, documents: int, context: int) -> list[Part]:
    """The main measurements by how many tokens were read before, in classes that double."""
    parts = []
    for power in range(context.bit_length()):
        first, last = 2**power, min(2 ** (power + 1) - 1, context)
        tokens = Tokens(store.column, documents, ("position", partial(_between, first, last)))
        if tokens.counted().any():
            name = f"{first}–{last}" if last > first else str(first)
            parts.append(Part(name=name, measurements=tokens.measure(BROKEN_DOWN)))
    return parts


def _between(first: int, last: int, positions: NDArray[Any]) -> Any:
    return (positions >= first) & (positions <= last)


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
    counts = Tokens(store.column, len(domains)).counted()
    sizes = np.bincount(of_document[of_document >= 0], counts[of_document >= 0], len(names))
    parts = []
    for place in np.argsort(-sizes, kind="stable")[:_DOMAINS]:
        if sizes[place]:
            tokens = Tokens(store.column, len(domains), ("document", partial(_in_domain, of_document, place)))
            parts.append(Part(name=names[place], measurements=tokens.measure(BROKEN_DOWN)))
    return parts


def _in_domain(of_document: Integers, domain: int, documents: Integers) -> Any:
    return of_document[documents] == domain


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
        found.append(
            f"means leave infinite tokens out ({words}): where there are any, a bound on a mean KL or its root mean "
            "square is broken from above, and one on a mean nll or a perplexity cannot be judged"
        )
    return found


def _mapped(estimate: Estimate, function: Callable[[float], float]) -> Estimate:
    ends = (None if end is None else function(end) for end in (estimate.value, estimate.lower, estimate.upper))
    value, lower, upper = ends
    return replace(estimate, value=value, lower=lower, upper=upper)


def _exponential(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def all_or_none(estimate: Estimate) -> Estimate:
    """A share that is 0 or 1 in all documents gets Clopper and Pearson's interval of as many documents."""
    if estimate.bounds is None or estimate.units is None or estimate.value not in (0.0, 1.0):
        return estimate
    lower, upper = clopper_pearson(estimate.units, int(estimate.value) * estimate.units)
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
