"""The per-instance table: every distance of two models, one row a clean instance, from which all else is computed.

Columns, float64 unless said otherwise; notation and definitions as in ``anchorlab.metrics``:

    label                                   int64, the true class
    prediction_reference, prediction        int64
    logit_distance, logit_distance_centred  squared logits
    shift                                   max_c |d_c - mean d|, logits
    probability_distance, total_variation
    js, kl, kl_reverse                      nats
    score_reference, score                  log p_y and log p*_y, nats
    residual                                (p - e_y) . d, nats: the loss changes by kl + residual
    confidence_reference, confidence        max_c p_c and max_c p*_c
    brier_reference, brier
    top_k_agreement                         k = min(5, C - 1)
    certified                               1 where the prediction cannot have changed, else 0
    wanted                                  int64, the attacker's label; -1 if the instance is not attacked
    triggered_reference, triggered          int64, predictions on the triggered instance; -1 too
    top_5_accuracy                          1 if y is among the candidate's five likeliest classes, else 0; NaN if C < 6
    top_5_accuracy_reference                the same of the reference

Tables of earlier versions lack the last two. A metric of a third party that measures each instance has a column of its
own after these.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from anchorlab.errors import AnchorlabError, first_line
from anchorlab.files import write_atomically
from anchorlab.metrics import METRICS, Metric, Pair
from anchorlab.metrics.columns import ATTACK, INTEGERS, STORED, shared_columns
from anchorlab.metrics.numerics import check_labels

#: Logits of one model in a chunk, which is read at once and measured by one thread: 4 MB in single precision.
CHUNK = 2**20

#: Threads at most: all arithmetic lets the others work meanwhile, but the calls of it do not.
THREADS = 4

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Batch:
    """Both models' answers to some consecutive instances.

    Attributes:
        reference: logits ``[B, C]`` of the reference.
        candidate: logits ``[B, C]`` of the candidate.
        labels: int64 ``[B]``, known to be classes.
        attack: the columns of the attack by name, int64 ``[B]`` each; empty for no attack.
    """

    reference: Any
    candidate: Any
    labels: NDArray[np.int64]
    attack: Columns = field(default_factory=dict)


def column_names() -> list[str]:
    """The columns of a table that is made now, in order; columns of third parties' metrics last."""
    return [*STORED, *(name for name in METRICS if METRICS[name].each is not None and name not in STORED)]


def build_table(
    batches: Iterable[Batch], count: int, *, threads: int = 1, report: Callable[[int], None] = lambda done: None
) -> pd.DataFrame:
    """The per-instance table of ``count`` instances, in the order of the batches.

    Args:
        batches: both models' answers.
        count: number of all instances.
        threads: that measure, beside this one, which takes the batches; 1 for this one alone.
        report: called with the number of instances done.

    Raises:
        ValueError: if shapes differ, C is below 2, or a logit is not finite.
    """
    table = {name: np.empty(count, np.int64 if name in INTEGERS else np.float64) for name in column_names()}

    def fill(batch: Batch, start: int) -> int:
        # Each is copied to its place at once, because a list of them would hold the table twice.
        columns, stop = _columns_of(batch, start), start + len(batch.labels)
        for name, column in table.items():
            column[start:stop] = columns[name]
        return stop

    start = 0
    with _Measuring(threads, report) as measuring:
        for batch in batches:
            measuring.submit(fill, batch, start)
            start += len(batch.labels)
    return pd.DataFrame(table, copy=False)


class _Measuring:
    """Batches that threads measure, of which as many wait as there are threads, so that few are held in memory."""

    def __init__(self, threads: int, report: Callable[[int], None]) -> None:
        self._threads, self._report = threads, report
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._waiting: deque[Future[int]] = deque()

    def __enter__(self) -> _Measuring:
        return self

    def submit(self, fill: Callable[[Batch, int], int], batch: Batch, start: int) -> None:
        """Measures a batch, at once or soon; raises what an earlier one raised."""
        if self._pool is None:
            self._report(fill(batch, start))
            return
        self._waiting.append(self._pool.submit(fill, batch, start))
        if len(self._waiting) > 2 * self._threads:
            self._report(self._waiting.popleft().result())

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            while self._waiting and kind is None:
                self._report(self._waiting.popleft().result())
        finally:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)


def _columns_of(batch: Batch, first: int) -> Columns:
    """The columns of a batch whose first row has the number ``first``, for errors."""
    try:
        pair = Pair(_numbers(batch.reference), _numbers(batch.candidate))
    except ValueError as error:
        raise ValueError(f"{error} (rows {first} to {first + len(batch.labels) - 1})") from None
    own = {
        name: metric.each(pair, batch.labels) if name in METRICS.built_in else _checked(metric, pair, batch.labels)
        for name in METRICS
        if (metric := METRICS[name]).each is not None
    }
    return shared_columns(pair, batch.labels) | own | batch.attack


def _checked(metric: Metric, pair: Pair, labels: NDArray[Any]) -> NDArray[Any]:
    """What somebody else's metric makes of a batch: a finite number for each instance.

    Raises:
        AnchorlabError: if it is anything else.
    """
    assert metric.each is not None
    values = np.asarray(metric.each(pair, labels))
    if values.dtype.kind not in "fiub" or values.shape != labels.shape or not np.isfinite(values).all():
        raise AnchorlabError(
            f"the metric {metric.name} does not make a finite number of each instance: let each return an array of "
            "numpy, one number for each label"
        )
    return values


def instances(
    reference_logits: Any,
    candidate_logits: Any,
    labels: ArrayLike,
    *,
    attacked: ArrayLike | None = None,
    wanted: ArrayLike | None = None,
    triggered_reference: ArrayLike | None = None,
    triggered: ArrayLike | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> pd.DataFrame:
    """The per-instance table of two models on the same clean instances, in their order.

    Rows are read in chunks, which as many threads measure as torch uses, at most ``THREADS``: memory beside inputs and
    output stays below about 30 MB and 30 MB a thread.

    Args:
        reference_logits: of the reference ``[N, C]``, any real dtype: an array, a memory-mapped one, a tensor, or
            whatever has a shape and gives such rows when sliced.
        candidate_logits: the candidate's, of the same shape.
        labels: integer ``[N]``, from 0 to C - 1.
        attacked: bool ``[N]``, which instances the attack is for; None for no attack.
        wanted: integer ``[N]``, the label that the attacker wants; read where ``attacked``.
        triggered_reference: the reference's predictions on the M attacked instances, triggered, integer ``[M]``.
        triggered: the candidate's, of the same shape.
        report: called with the number of instances done.

    Raises:
        ValueError: if shapes differ, N is 0, C is below 2, a logit is not finite, a label is not a class, or only
            a part of the attack is given.
    """
    reference, candidate = _sliceable(reference_logits), _sliceable(candidate_logits)
    N, C = _shape(reference, candidate)
    truth = check_labels(_numbers(labels), (N, C))
    attack = _attack_columns(N, attacked, wanted, triggered_reference, triggered)
    batches = (
        Batch(reference[rows], candidate[rows], truth[rows], {name: column[rows] for name, column in attack.items()})
        for rows in _chunks(N, C)
    )
    threads = min(torch.get_num_threads(), THREADS) if N * C > CHUNK else 1
    return build_table(batches, N, threads=threads, report=report)


def _attack_columns(
    N: int,
    attacked: ArrayLike | None,
    wanted: ArrayLike | None,
    triggered_reference: ArrayLike | None,
    triggered: ArrayLike | None,
) -> Columns:
    """The columns of the attack on all N instances; none for no attack."""
    given = (attacked, wanted, triggered_reference, triggered)
    if all(part is None for part in given):
        return {}
    if any(part is None for part in given):
        raise ValueError("an attack needs all of attacked, wanted, triggered_reference and triggered")
    rows = np.asarray(_numbers(attacked), dtype=bool)
    columns = {name: np.full(N, -1, dtype=np.int64) for name in ATTACK}
    columns["wanted"][rows] = np.asarray(_numbers(wanted), dtype=np.int64)[rows]
    columns["triggered_reference"][rows] = np.asarray(_numbers(triggered_reference), dtype=np.int64)
    columns["triggered"][rows] = np.asarray(_numbers(triggered), dtype=np.int64)
    return columns


def instances_to_bytes(frame: pd.DataFrame) -> bytes:
    """The table as a parquet file: floats in single precision, integers as small as they may be, zstd."""
    small = {
        name: pd.to_numeric(frame[name], downcast="integer") if name in INTEGERS else frame[name].astype(np.float32)
        for name in column_names()
        if name in frame
    }
    buffer = io.BytesIO()
    pd.DataFrame(small).to_parquet(buffer, engine="pyarrow", compression="zstd", index=False)
    return buffer.getvalue()


def write_instances(path: Path, frame: pd.DataFrame) -> None:
    """Writes the table as a parquet file, whole or not at all; see ``instances_to_bytes``.

    Raises:
        AnchorlabError: if the place cannot be written.
    """
    write_atomically(path, instances_to_bytes(frame))


def read_instances(path: Path) -> pd.DataFrame:
    """The table that ``write_instances`` wrote, floats as float64 again, to the digits of single precision.

    Raises:
        AnchorlabError: if there is no such file, or it holds no such table.
    """
    return pd.DataFrame(read_columns(path), copy=False)


def read_columns(path: Path) -> Columns:
    """The same as arrays by name, because to make a frame of a small table takes longer than to read it."""
    if not path.is_file():
        raise AnchorlabError(f"there is no file {path}: give one that anchorlab compare --instances wrote")
    try:
        return _read(path)
    except (ValueError, OSError) as error:  # pyarrow's errors of content are ValueErrors
        raise AnchorlabError(
            f"{path} holds no per-instance table ({first_line(error)}): give one that "
            "anchorlab compare --instances wrote"
        ) from error


def _read(path: Path) -> Columns:
    """The columns of every table, and of the further metrics that this one has."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        there = set(file.schema_arrow.names)
        names = [name for name in column_names() if name in STORED or name in there]
        lacking = [name for name in names if name not in there]
        if lacking:
            raise ValueError(f"it has no column {lacking[0]}")
        stored = file.read(columns=names, use_threads=False)
    types = {name: np.int64 if name in INTEGERS else np.float64 for name in names}
    return {name: stored.column(name).to_numpy().astype(types[name]) for name in names}


def _chunks(N: int, C: int) -> Iterator[slice]:
    """Slices of at most ``CHUNK`` logits, which cover N rows."""
    rows = max(1, CHUNK // C)
    return (slice(start, min(start + rows, N)) for start in range(0, N, rows))


def _sliceable(logits: Any) -> Any:
    """The logits as something with a shape."""
    return logits if hasattr(logits, "shape") else np.asarray(logits)


def _numbers(values: Any) -> Any:
    """A tensor as an array, because numpy knows neither gradients nor bfloat16; all else as it is."""
    if not hasattr(values, "detach"):
        return values
    tensor = values.detach().cpu()
    return (tensor.double() if tensor.is_floating_point() and tensor.dtype != torch.float32 else tensor).numpy()


def _shape(reference: Any, candidate: Any) -> tuple[int, int]:
    """N and C, of both.

    Raises:
        ValueError: if the logits are no matrices of one shape.
    """
    for logits, model in ((reference, "the reference"), (candidate, "the candidate")):
        if len(logits.shape) != 2 or logits.shape[0] < 1 or logits.shape[1] < 2:
            raise ValueError(
                f"the logits of {model} have shape {tuple(logits.shape)}: "
                "give [N, C] with at least one instance and at least two classes"
            )
    if tuple(reference.shape) != tuple(candidate.shape):
        raise ValueError(
            f"the reference's logits have shape {tuple(reference.shape)} but the candidate's "
            f"{tuple(candidate.shape)}: run both models, with the same classes, on the same instances"
        )
    N, C = reference.shape
    return N, C
