"""Writes base files of llama.cpp from logits, as its documented format has them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def write_base(path: Path, tokens: np.ndarray, logits: np.ndarray) -> Path:
    """Writes a base file.

    Args:
        path: where to.
        tokens: integer ``[chunks, context]``.
        logits: of the scored rows, ``[chunks, context - 1 - context // 2, V]``.
    """
    chunks, context = tokens.shape
    vocabulary = logits.shape[-1]
    header = struct.pack("<8siii", b"_logits_", context, vocabulary, chunks)
    rows = [_row(row) for row in logits.reshape(-1, vocabulary).astype(np.float32)]
    path.write_bytes(header + tokens.astype("<i4").tobytes() + b"".join(rows))
    return path


def _row(logits: np.ndarray) -> bytes:
    greatest = logits.max()
    least = np.float32(max(logits.min(), greatest - 16))
    total = np.float32(np.log(np.exp((logits - greatest).astype(np.float64)).sum()))
    scale = np.float32((greatest - least) / 65535)
    numbers = np.zeros(logits.size + logits.size % 2, dtype="<u2")
    if scale:
        numbers[: logits.size] = np.rint(np.maximum(logits - least, 0) / scale)
    return struct.pack("<ff", scale, least - greatest - total) + numbers.tobytes()
