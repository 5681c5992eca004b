"""The per-instance table: every distance of two models, one row a clean instance, from which all else is computed.

Columns, float64 unless said otherwise; notation and definitions as in ``anchorlab.consistency.metrics``:

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
    wanted                                  int64, the attacker's label; -1 if the instance is not attacked
    triggered_reference, triggered          int64, predictions on the triggered instance; -1 likewise
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from anchorlab.consistency.metrics import Pair, check_labels
from anchorlab.errors import AnchorlabError, first_line
from anchorlab.files import write_atomically

#: Logits of one model in a chunk: few enough that a dozen arrays of them stay in the processor's cache, and that each
#: takes no more than the 128 KB beyond which the C library asks the system for every array, which takes as long again.
CHUNK = 2**14

#: Names of the columns, in order, to whether they hold integers.
COLUMNS = {
    "label": True,
    "prediction_reference": True,
    "prediction": True,
    "logit_distance": False,
    "logit_distance_centred": False,
    "shift": False,
    "probability_distance": False,
    "total_variation": False,
    "js": False,
    "kl": False,
    "kl_reverse": False,
    "score_reference": False,
    "score": False,
    "residual": False,
    "confidence_reference": False,
    "confidence": False,
    "brier_reference": False,
    "brier": False,
    "top_k_agreement": False,
    "wanted": True,
    "triggered_reference": True,
    "triggered": True,
}

Columns = dict[str, NDArray[Any]]


def instances(
    reference_logits: Any,
    candidate_logits: Any,
    labels: ArrayLike,
    *,
    attacked: ArrayLike | None = None,
    wanted: ArrayLike | None = None,
    triggered_reference: ArrayLike | None = None,
    triggered: ArrayLike | None = None,
) -> pd.DataFrame:
    """The per-instance table of two models on the same clean instances, in their order.

    Rows are read in chunks, so that memory beside inputs and output stays below about 20 MB.

    Args:
        reference_logits: of the reference ``[N, C]``, any real dtype: an array, a memory-mapped one, a tensor, or
            whatever has a shape and gives such rows when sliced.
        candidate_logits: of the candidate, likewise.
        labels: integer ``[N]``, from 0 to C - 1.
        attacked: bool ``[N]``, which instances the attack is for; None for no attack.
        wanted: integer ``[N]``, the label that the attacker wants; read where ``attacked``.
        triggered_reference: the reference's predictions on the M attacked instances, triggered, integer ``[M]``.
        triggered: the candidate's, likewise.

    Raises:
        ValueError: if shapes differ, N is 0, C is below 2, a logit is not finite, a label is not a class, or only
            a part of the attack is given.
    """
    reference, candidate = _sliceable(reference_logits), _sliceable(candidate_logits)
    N, C = _shape(reference, candidate)
    truth = check_labels(_numbers(labels), (N, C))
    pieces = (measured_rows(reference[rows], candidate[rows], truth[rows], first=rows.start) for rows in _chunks(N, C))
    table = assemble(pieces, N)
    attack = (attacked, wanted, triggered_reference, triggered)
    if all(part is None for part in attack):
        return table
    if any(part is None for part in attack):
        raise ValueError("an attack needs all of attacked, wanted, triggered_reference and triggered")
    at = np.asarray(_numbers(attacked), dtype=bool)
    table.loc[at, "wanted"] = np.asarray(_numbers(wanted), dtype=np.int64)[at]
    table.loc[at, "triggered_reference"] = np.asarray(_numbers(triggered_reference), dtype=np.int64)
    table.loc[at, "triggered"] = np.asarray(_numbers(triggered), dtype=np.int64)
    return table


def measured_rows(reference: Any, candidate: Any, labels: NDArray[np.int64], *, first: int = 0) -> Columns:
    """The columns of some rows of the table, without an attack.

    Args:
        reference: logits ``[B, C]``.
        candidate: logits ``[B, C]``.
        labels: int64 ``[B]``, known to be classes.
        first: number of the first row, for errors.

    Raises:
        ValueError: as ``instances``.
    """
    try:
        pair = Pair(_numbers(reference), _numbers(candidate))
    except ValueError as error:
        raise ValueError(f"{error} (rows {first} to {first + len(labels) - 1})") from None
    nobody = np.full(len(labels), -1, dtype=np.int64)
    return {
        "label": labels,
        "prediction_reference": pair.p.prediction,
        "prediction": pair.q.prediction,
        "logit_distance": pair.logit_distance(),
        "logit_distance_centred": pair.logit_distance_centred(),
        "shift": pair.largest_shift(),
        "probability_distance": pair.probability_distance(),
        "total_variation": pair.total_variation(),
        "js": pair.js,
        "kl": pair.kl,
        "kl_reverse": pair.kl_reverse,
        "score_reference": pair.p.log_of(labels),
        "score": pair.q.log_of(labels),
        "residual": pair.residual(labels),
        "confidence_reference": pair.p.confidence(),
        "confidence": pair.q.confidence(),
        "brier_reference": pair.p.brier(labels),
        "brier": pair.q.brier(labels),
        "top_k_agreement": pair.top_k_agreement(min(5, pair.before.shape[1] - 1)),
        "wanted": nobody,
        "triggered_reference": nobody,
        "triggered": nobody,
    }


def assemble(pieces: Iterable[Columns], count: int) -> pd.DataFrame:
    """The table of so many rows, which are those of the pieces, in their order."""
    table = {name: np.empty(count, np.int64 if whole else np.float64) for name, whole in COLUMNS.items()}
    start = 0
    for piece in pieces:  # each is copied to its place at once, for a list of them would hold the table twice
        stop = start + len(piece["label"])
        for name, column in table.items():
            column[start:stop] = piece[name]
        start = stop
    return pd.DataFrame(table, copy=False)


def instances_to_bytes(frame: pd.DataFrame) -> bytes:
    """The table as a parquet file: floats in single precision, integers as small as they may be, zstd."""
    small = {
        name: pd.to_numeric(frame[name], downcast="integer") if whole else frame[name].astype(np.float32)
        for name, whole in COLUMNS.items()
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
    if not path.is_file():
        raise AnchorlabError(f"there is no file {path}: give one that anchorlab compare --instances wrote")
    try:
        stored = pd.read_parquet(path, engine="pyarrow", columns=list(COLUMNS))
    except (ValueError, OSError) as error:  # pyarrow's errors of content are ValueErrors
        raise AnchorlabError(
            f"{path} holds no per-instance table ({first_line(error)}): give one that "
            "anchorlab compare --instances wrote"
        ) from error
    return stored.astype({name: np.int64 if whole else np.float64 for name, whole in COLUMNS.items()})


def _chunks(N: int, C: int) -> Iterator[slice]:
    """Slices of at most ``CHUNK`` logits, which cover N rows."""
    rows = max(1, CHUNK // C)
    return (slice(start, min(start + rows, N)) for start in range(0, N, rows))


def _sliceable(logits: Any) -> Any:
    """The logits as something with a shape."""
    return logits if hasattr(logits, "shape") else np.asarray(logits)


def _numbers(values: Any) -> Any:
    """A tensor as an array, for numpy knows neither gradients nor bfloat16; all else as it is."""
    if not hasattr(values, "detach"):
        return values
    tensor = values.detach().cpu()
    return (tensor.double() if tensor.is_floating_point() else tensor).numpy()


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
