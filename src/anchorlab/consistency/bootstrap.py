"""The bootstrap over instances: what a run's measurements would be, had other instances been drawn.

A replicate draws as many instances as there are, with replacement, and gives each a weight: how often it was drawn.
All measurements but the percentiles are functions of weighted sums of columns, so that those of all replicates are
one product of matrices. The draws depend on the number of instances and on the seed alone, not on the run: so each
run is resampled once, and its replicates serve every comparison that it takes part in.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from anchorlab.consistency.summary import Consistency, summarise
from anchorlab.metrics import METRICS, InstanceTable, Maximum, Mean, Percentile
from anchorlab.metrics.columns import OF_REFERENCE
from anchorlab.seeding import derive
from anchorlab.statistics.arrays import Floats, Integers
from anchorlab.statistics.resampling import drawn_counts

if TYPE_CHECKING:
    import pandas as pd

#: Instances are drawn in at most this many groups, each of the instances with the same remainder of their number,
#: which leaves the variance of means as it is and bounds time and memory.
GROUPS = 10_000

#: Replicates computed at once.
_BLOCK = 250

#: The libraries that compute products of matrices.
_LIBRARIES = ThreadpoolController()

#: Values that are taken together first where a percentile is looked for.
_STEP = 12

#: How often each group is drawn, ``[groups, B]``: 16 bits are enough for as many draws as there are groups.
_Draws = NDArray[np.uint16]

#: Up to so many groups the draws are kept as floats too, as the product of matrices takes them: 32 MB for 2,000
#: replicates. To convert them takes as long as the product of a small table.
_KEPT_AS_FLOATS = 2_000


class _Block(NamedTuple):
    """Which replicates are computed at once, and their draws; as floats too, where there are few groups."""

    rows: slice
    draws: _Draws
    weights: Floats | None


Item = TypeVar("Item")


@dataclass(frozen=True)
class Resampled:
    """A run, as it is and in every replicate.

    Attributes:
        instances: their number.
        values: the measurements as they are.
        rates: the number of instances that each rate is a share of, by the rate's name.
        replicates: each measurement in each replicate, ``[resamples]`` by name, without the counts. NaN where it is
            undefined. A maximum stays as measured, because it cannot be bootstrapped.
        resamples: number of replicates.
        seed: of the draws.
    """

    instances: int
    values: Consistency
    rates: dict[str, int]
    replicates: Mapping[str, Floats]
    resamples: int
    seed: int


class Bootstrap:
    """Draws of instances, the same for all runs of the same instances, and made once for all of them.

    Attributes:
        resamples: number of replicates.
        seed: of the draws.
    """

    def __init__(self, *, resamples: int = 2000, seed: int = 0) -> None:
        self.resamples, self.seed = resamples, seed
        self._blocks: dict[int, list[_Block]] = {}
        self._references: dict[tuple[bytes, tuple[str, ...]], dict[str, Floats]] = {}
        self._lock, self._within_threads = Lock(), False

    def resample(
        self,
        run: pd.DataFrame | InstanceTable,
        metrics: Sequence[str] | None = None,
        values: Consistency | None = None,
    ) -> Resampled:
        """A run in every replicate; all that is compared with it must be of the same instances in the same order.

        Args:
            run: its per-instance table.
            metrics: names of the measurements that replicates are wanted of; None for all.
            values: the measurements of the run, where they are known already.
        """
        table = run if isinstance(run, InstanceTable) else InstanceTable(run)
        drawn = [name for name in (METRICS if metrics is None else metrics) if not METRICS[name].is_count]
        own, reference = (
            tuple(name for name in drawn if METRICS[name].of_reference is which) for which in (False, True)
        )
        key = (_reference_digest(table), reference)
        if key not in self._references:  # many runs share a reference
            self._references[key] = self._replicates(table, reference)
        replicates = self._replicates(table, own) | self._references[key]
        measured = values or summarise(table)
        return Resampled(len(table), measured, _rates(table), replicates, self.resamples, self.seed)

    def _replicates(self, run: InstanceTable, metrics: Sequence[str]) -> dict[str, Floats]:
        """See ``Resampled.replicates``."""
        replicates = {name: np.full(self.resamples, np.nan) for name in metrics}
        drawn = []
        for name in metrics:
            reduction = METRICS[name].reduction
            if isinstance(reduction, Maximum):
                replicates[name][:] = reduction.value(run)
            elif METRICS[name].is_in(run):
                drawn.append(name)
        if not drawn:
            return replicates
        sums, blocks = _Sums.of(run, drawn), self._blocks_of(min(len(run), GROUPS))
        for rows, values in sums.drawn(blocks) if self._within_threads else sums.drawn_by_threads(blocks):
            for name, each in values.items():
                replicates[name][rows] = each
        return replicates

    def _blocks_of(self, groups: int) -> list[_Block]:
        """The draws of so many groups, made once."""
        with self._lock:
            if groups not in self._blocks:
                self._blocks[groups] = list(_blocks(groups, self.resamples, self.seed))
            return self._blocks[groups]

    def each(
        self, items: Iterable[Item], read: Callable[[Item], InstanceTable]
    ) -> Iterator[tuple[Resampled, InstanceTable]]:
        """Many runs in every replicate, one after the other; threads read and resample those that come next.

        Args:
            items: a run each, in the order that is wanted.
            read: makes the per-instance table of an item.
        """
        threads = torch.get_num_threads()

        def one(item: Item) -> tuple[Resampled, InstanceTable]:
            table = read(item)
            return self.resample(table), table

        self._within_threads = True
        try:
            with _LIBRARIES.limit(limits=1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
                waiting: deque[Future[tuple[Resampled, InstanceTable]]] = deque()
                for item in items:
                    waiting.append(pool.submit(one, item))
                    if len(waiting) > 2 * threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
        finally:
            self._within_threads = False


def _rates(run: InstanceTable) -> dict[str, int]:
    """The number of instances that each rate is a share of."""
    rates = {}
    for name in METRICS:
        reduction = METRICS[name].reduction
        if isinstance(reduction, Mean) and METRICS[name].is_in(run) and (average := reduction.average(run)).is_rate:
            rates[name] = average.count
    return rates


def _reference_digest(run: InstanceTable) -> bytes:
    """What is the same of two tables if all columns are that the measurements of the reference come from."""
    further = [name for name in METRICS if METRICS[name].of_reference and name not in OF_REFERENCE and name in run]
    digest = hashlib.sha256()
    for name in (*OF_REFERENCE, *further):
        digest.update(run.array(name).tobytes())
    return digest.digest()


def drawn_runs(runs: int, resamples: int, seed: int) -> Floats:
    """How often each run is drawn in each replicate, ``[resamples, runs]``."""
    return drawn_counts(np.random.default_rng(derive(seed, "bootstrap", "runs")), resamples, runs).astype(np.float64)


def _blocks(groups: int, resamples: int, seed: int) -> Iterator[_Block]:
    """The draws of instances, by their groups."""
    rng = np.random.default_rng(derive(seed, "bootstrap", "instances"))
    for start in range(0, resamples, _BLOCK):
        rows = slice(start, min(start + _BLOCK, resamples))
        draws = np.ascontiguousarray(drawn_counts(rng, rows.stop - start, groups).T, dtype=np.uint16)
        yield _Block(rows, draws, draws.astype(np.float64) if groups <= _KEPT_AS_FLOATS else None)


@dataclass(frozen=True)
class _Sums:
    """What is summed of a run, and how measurements come of it.

    Attributes:
        matrix: all columns, summed over the instances of each group, ``[K, groups]``; the first one counts instances.
        linear: name of a measurement to the rows of the matrix that it needs, and how it comes of their weighted sums
            ``[k, B]`` and of the sum of the weights ``[B]``.
        ranked: name of a percentile to the row of the matrix that it needs, and how it comes of the draws.
    """

    matrix: Floats
    linear: dict[str, tuple[slice, Callable[[Floats, Floats], Floats]]]
    ranked: dict[str, tuple[int, _Ranked]]

    @classmethod
    def of(cls, run: InstanceTable, metrics: Sequence[str]) -> _Sums:
        """Of the measurements, less those that are undefined."""
        groups = min(len(run), GROUPS)
        columns = [_grouped(np.ones(len(run)), groups)]
        linear: dict[str, tuple[slice, Callable[[Floats, Floats], Floats]]] = {}
        ranked: dict[str, tuple[int, _Ranked]] = {}
        for name in metrics:
            reduction = METRICS[name].reduction
            if isinstance(reduction, Percentile):
                around = _Ranked.around(run[reduction.column], reduction.percent, groups)
                ranked[name] = (len(columns), around)
                columns.append(_grouped(around.below, groups))
            elif (sums := reduction.weighted(run)) is not None:
                first = len(columns)
                columns += [_grouped(column, groups) for column in sums.columns]
                linear[name] = (slice(first, len(columns)), sums.value)
        return cls(np.stack(columns), linear, ranked)

    def drawn_by_threads(self, blocks: Sequence[_Block]) -> Iterator[tuple[slice, dict[str, Floats]]]:
        """As ``drawn``, the blocks shared out among as many threads as torch uses."""
        threads = min(torch.get_num_threads(), len(blocks))
        # Not by the library's own threads: they wait for each other within the product, again and again, and become
        # many times slower than a single one as soon as another program wants a core.
        with _LIBRARIES.limit(limits=1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
            for share in pool.map(self.drawn, (blocks[first::threads] for first in range(threads))):
                yield from share

    def drawn(self, blocks: Sequence[_Block]) -> list[tuple[slice, dict[str, Floats]]]:
        """Each measurement under the draws of each block, ``[B]`` by name."""
        room: Floats | None = None  # one for all blocks: fresh memory takes as long as half of the product
        found = []
        for rows, draws, kept in blocks:
            weights = kept
            if weights is None:
                room = np.empty(draws.shape) if room is None else room
                weights = room[:, : draws.shape[1]]
                weights[:] = draws
            found.append((rows, self._drawn(draws, self.matrix @ weights)))
        return found

    def _drawn(self, draws: _Draws, sums: Floats) -> dict[str, Floats]:
        """Each measurement from the weighted sums of all columns ``[K, B]``."""
        size = sums[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            found = {name: value(sums[rows], size) for name, (rows, value) in self.linear.items()}
        return found | {name: one.value(draws, sums[row], size) for name, (row, one) in self.ranked.items()}


def _grouped(column: Any, groups: int) -> Floats:
    """Sums over the instances of each group: ``[N]`` to ``[groups]``."""
    padded = np.zeros(-(-len(column) // groups) * groups)
    padded[: len(column)] = column
    return np.asarray(padded.reshape(-1, groups).sum(axis=0), dtype=np.float64)


@dataclass(frozen=True)
class _Ranked:
    """A percentile of a run under weights: the values around it, because it cannot move far.

    Attributes:
        below: whether each instance is below the window, ``[N]``.
        values: sorted, of the window, ``[n]``.
        group: of each of them, ``[n]``.
        percent: which percentile.
    """

    below: Any
    values: Floats
    group: Integers
    percent: int

    @classmethod
    def around(cls, values: Floats, percent: int, groups: int) -> _Ranked:
        N = len(values)
        order = np.argsort(values, kind="stable")
        centre, spread = N * percent / 100, math.sqrt(N * percent * (100 - percent)) / 100
        low, high = max(0, math.floor(centre - 6 * spread) - 1), min(N, math.ceil(centre + 6 * spread) + 1)
        below = np.zeros(N, dtype=bool)
        below[order[:low]] = True
        window = order[low:high]
        return cls(below, values[window], np.asarray(window % groups, dtype=np.int64), percent)

    def value(self, draws: _Draws, below: Floats, size: Floats) -> Floats:
        """The smallest value that ``percent`` of 100 of the weight does not exceed: ``[groups, B]`` to ``[B]``."""
        wanted = np.ceil((self.percent * size - 100 * below) / 100).astype(np.int32)
        place = np.minimum(_short_of(wanted, draws[self.group]), len(self.values) - 1)
        return np.asarray(self.values[place], dtype=np.float64)


def _short_of(wanted: NDArray[np.int32], each: _Draws) -> Integers:
    """How many of the running sums down each column ``[n, B]`` are below what is wanted of it, ``[B]``."""
    n, B = each.shape
    if n <= 5 * _STEP:
        return _count(each.cumsum(axis=0, dtype=np.int32) < wanted)
    # In steps of some values first, and then within the step, because numpy adds rows quickly and running sums slowly.
    steps = -(-n // _STEP)
    padded = np.zeros((steps * _STEP, B), dtype=np.int32)
    padded[:n] = each
    by_step = padded.reshape(steps, _STEP, B)
    running = by_step.sum(axis=1, dtype=np.int32).cumsum(axis=0, dtype=np.int32)
    step, column = np.minimum(_count(running < wanted), steps - 1), np.arange(B)
    before = np.where(step > 0, running[step - 1, column], 0)
    within = _count(by_step[step, :, column].T.cumsum(axis=0) + before < wanted)
    return np.asarray(step * _STEP + within, dtype=np.int64)


def _count(truths: NDArray[np.bool_]) -> Integers:
    """How many are true in each column."""
    return np.asarray(np.add.reduce(truths, axis=0, dtype=np.int32), dtype=np.int64)
