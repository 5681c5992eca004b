"""The gate and stored logits on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anchorlab.artifacts.artifact import Artifact
from tests.cli.conftest import Run


@pytest.fixture
def stored(tmp_path: Path) -> list[str]:
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(500, 4)) * 3
    np.save(tmp_path / "a.npy", reference)
    np.save(tmp_path / "b.npy", reference + rng.normal(size=(500, 4)))
    np.save(tmp_path / "y.npy", rng.integers(0, 4, 500))
    return ["compare", str(tmp_path / "a.npy"), str(tmp_path / "b.npy"), "--labels", str(tmp_path / "y.npy")]


def test_a_gate_that_holds_ends_well_and_one_that_breaks_says_which(run: Run, stored: list[str]) -> None:
    assert run(*stored, "--fail-if", "churn > 0.9").code == 0
    ended = run(*stored, "--fail-if", "churn > 0.9", "--fail-if", "kl.upper > 0.001", "--fail-if", "js > 0")
    assert ended.code == 1
    assert "churn" in ended.out
    lines = ended.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("the gate 'kl.upper > 0.001' is broken: kl.upper is 0.")


def test_models_pass_through_the_same_gate(run: Run, reference: Artifact, injected: Artifact, tmp_path: Path) -> None:
    before, after = reference.save(tmp_path / "a"), injected.save(tmp_path / "b")
    instances = tmp_path / "instances.parquet"
    assert run("compare", before, before, "--fail-if", "churn > 0", "--fail-if", "kl.upper > 1e-9").code == 0
    assert run("compare", before, after, "--fail-if", "logit_distance > 0", "--instances", instances).code == 1
    assert len(pd.read_parquet(instances)) == 539


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--fail-if", "chrun > 1"], "did you mean 'churn'?"),
        (["--task", "digits"], "--task is for model folders"),
        (["--fail-if", "asr < 1"], "cannot be judged"),
    ],
)
def test_mistakes_end_with_one_sentence_and_another_code(
    run: Run, stored: list[str], extra: list[str], words: str
) -> None:
    ended = run(*stored, *extra)
    assert ended.code == 2
    assert words in ended.err


def test_logits_need_labels_and_a_partner_of_their_kind(run: Run, stored: list[str], tmp_path: Path) -> None:
    assert "give --labels" in run(*stored[:3]).err
    assert "cannot be compared" in run("compare", stored[1], tmp_path, *stored[3:]).err
    assert "--labels is for two .npy files" in run("compare", tmp_path, tmp_path, *stored[3:]).err
    np.save(tmp_path / "y.npy", np.arange(3))
    assert run(*stored).code == 2
