"""The bootstrap over the instances of one run: all its measurements in every replicate, from the per-instance table.

Replicates are of measurements that are functions of weighted sums of columns, so that all replicates are one product of
matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from anchorlab.metrics import METRICS, InstanceTable
from anchorlab.seeding import derive
from anchorlab.statistics.arrays import Floats, Integers
from anchorlab.statistics.resampling import drawn_counts

#: Instances are drawn in at most this many groups, which leaves the variance of means as it is and bounds time and
#: memory. More instances are put into groups at random, because files often repeat their classes in turn.
GROUPS = 10_000

#: Replicates computed at once.
_BLOCK = 250

#: The libraries that compute products of matrices.
_LIBRARIES = ThreadpoolController()

#: Replicates computed at once: their numbers, and how often each group is drawn, ``[groups, B]``, for which 16 bits
#: are enough because there are as many draws as groups.
_Block: TypeAlias = tuple[slice, NDArray[np.uint16]]


def replicates(
    run: InstanceTable, metrics: Iterable[str], *, resamples: int = 2000, seed: int = 0
) -> dict[str, Floats]:
    """Measurements of a run in each replicate, ``[resamples]`` by name; NaN in replicates where one is undefined.

    Those that are undefined in the run, or no function of weighted sums, such as a maximum, are left out.

    Args:
        run: its per-instance table.
        metrics: names of the measurements.
        resamples: number of replicates.
        seed: of the draws.
    """
    groups = min(len(run), GROUPS)
    order = np.arange(len(run))
    if len(run) > groups:
        order = np.random.default_rng(derive(seed, "bootstrap", "groups")).permutation(order)
    sums = _Sums.of(run, metrics, groups, order)
    found = {name: np.empty(resamples) for name in sums.values}
    if found:
        for rows, values in sums.drawn_by_threads(list(_blocks(groups, resamples, seed))):
            for name, each in values.items():
                found[name][rows] = each
    return found


def _blocks(groups: int, resamples: int, seed: int) -> Iterator[_Block]:
    """The draws of instances, by their groups."""
    rng = np.random.default_rng(derive(seed, "bootstrap", "instances"))
    for start in range(0, resamples, _BLOCK):
        rows = slice(start, min(start + _BLOCK, resamples))
        yield rows, np.ascontiguousarray(drawn_counts(rng, rows.stop - start, groups).T, dtype=np.uint16)


@dataclass(frozen=True)
class _Sums:
    """What is summed of a run, and how measurements come of it.

    Attributes:
        matrix: all columns, summed over the instances of each group, ``[K, groups]``; the first one counts instances.
        values: name of a measurement to the rows of the matrix that it needs, and how it comes of their weighted sums
            ``[k, B]`` and of the sum of the weights ``[B]``.
    """

    matrix: Floats
    values: dict[str, tuple[slice, Callable[[Floats, Floats], Floats]]]

    @classmethod
    def of(cls, run: InstanceTable, metrics: Iterable[str], groups: int, order: Integers) -> _Sums:
        """Of the measurements that have such sums, the instances put into groups in this order, ``[N]``."""
        columns = [_grouped(np.ones(len(run)), groups)]
        values: dict[str, tuple[slice, Callable[[Floats, Floats], Floats]]] = {}
        for name in metrics:
            sums = METRICS[name].reduction.weighted(run)
            if sums is not None:
                first = len(columns)
                columns += [_grouped(column[order], groups) for column in sums.columns]
                values[name] = (slice(first, len(columns)), sums.value)
        return cls(np.stack(columns), values)

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
        room = np.empty(blocks[0][1].shape)  # one for all blocks: fresh memory takes as long as half of the product
        found = []
        for rows, draws in blocks:
            weights = room[:, : draws.shape[1]]
            weights[:] = draws
            sums = self.matrix @ weights
            with np.errstate(divide="ignore", invalid="ignore"):
                found.append((rows, {name: value(sums[k], sums[0]) for name, (k, value) in self.values.items()}))
        return found


def _grouped(column: Any, groups: int) -> Floats:
    """Sums over each group, of the instances whose numbers have the same remainder: ``[N]`` to ``[groups]``."""
    padded = np.zeros(-(-len(column) // groups) * groups)
    padded[: len(column)] = column
    return np.asarray(padded.reshape(-1, groups).sum(axis=0), dtype=np.float64)
