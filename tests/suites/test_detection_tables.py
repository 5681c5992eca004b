"""The tables beside detections are read as they were written."""

from __future__ import annotations

from pathlib import Path

import torch

from anchorlab.detectors import ModelScore
from anchorlab.suites.detection_tables import read_scores, read_triggers, triggers_to_bytes


def test_triggers_keep_their_labels_pixels_and_order(tmp_path: Path) -> None:
    patterns = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    table = triggers_to_bytes(ModelScore(1.0, patterns=patterns, targets=torch.tensor([7, 2])))
    assert table is not None
    (tmp_path / "table.parquet").write_bytes(table)
    (first, picture), (second, _) = read_triggers(tmp_path / "table.parquet")
    assert (first, second) == (7, 2)
    assert torch.equal(picture, patterns[0])


def test_a_detector_without_triggers_leaves_no_table(tmp_path: Path) -> None:
    assert triggers_to_bytes(ModelScore(1.0)) is None
    assert read_triggers(tmp_path / "missing.parquet") == []
    missing = read_scores(tmp_path / "missing.parquet")
    assert list(missing.columns) == ["triggered", "score"]
    assert missing.empty
