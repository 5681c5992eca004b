"""The table beside the record of a detection: the scores of inputs, or the triggers found in a model.

A parquet file; for scores the columns ``triggered`` (bool) and ``score`` (float64), for triggers ``label`` (int64) and
``picture`` (a PNG file), the most suspicious first.
"""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
from torch import Tensor

from anchorlab.data.pictures import from_png, to_png
from anchorlab.detectors.base import ModelScore
from anchorlab.scoring.input_score import InputScore


def scores_to_bytes(score: InputScore) -> bytes:
    """Every score of clean and of triggered inputs."""
    return _parquet(score.table())


def triggers_to_bytes(score: ModelScore) -> bytes | None:
    """The inverted triggers; None for a detector that does not search for any."""
    if score.patterns is None or score.targets is None:
        return None
    pictures = [to_png(pattern) for pattern in score.patterns]
    return _parquet(pd.DataFrame({"label": score.targets.numpy(), "picture": pictures}))


def read_scores(path: Path) -> pd.DataFrame:
    """What ``scores_to_bytes`` wrote; empty if the file is missing, as in suites that older versions ran."""
    return pd.read_parquet(path) if path.exists() else pd.DataFrame(columns=["triggered", "score"])


def read_triggers(path: Path) -> list[tuple[int, Tensor]]:
    """Labels and pictures, uint8 ``[C, H, W]``, that ``triggers_to_bytes`` wrote; none if the file is missing."""
    if not path.exists():
        return []
    frame = pd.read_parquet(path)
    return [(int(label), from_png(picture)) for label, picture in zip(frame["label"], frame["picture"], strict=True)]


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, engine="pyarrow", compression="zstd", index=False)
    return buffer.getvalue()
