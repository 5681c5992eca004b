"""What is for model folders is refused beside stored answers, in place of being passed over."""

from __future__ import annotations

import numpy as np
import pytest

MODELS_ONLY = [("--split", "owner"), ("--split", "test"), ("--base", "base"), ("--module", "own.py:make")]


@pytest.fixture
def files(tmp_path):
    """Two files of logits and one of labels."""
    rng = np.random.default_rng(0)
    for name in ("reference", "candidate"):
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(20, 3)).astype(np.float32))
    np.save(tmp_path / "labels.npy", np.arange(20) % 3)
    return tmp_path / "reference.npy", tmp_path / "candidate.npy", tmp_path / "labels.npy"


@pytest.mark.parametrize("how", MODELS_ONLY)
def test_compare_refuses_what_is_for_model_folders(run, files, how):
    first, second, labels = files
    ended = run("compare", first, second, "--labels", labels, *how)
    assert ended.code == 2
    assert f"{how[0]} is for model folders" in ended.err


@pytest.mark.parametrize("how", [*MODELS_ONLY, ("--defender-data", 10)])
def test_audit_refuses_what_is_for_model_folders(run, files, tmp_path, how):
    first, second, _ = files
    ended = run("audit", first, second, "--benign", second, "--out", tmp_path / "audit", *how)
    assert ended.code == 2
    assert f"{how[0]} is for model folders" in ended.err
