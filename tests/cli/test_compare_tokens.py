"""``compare --texts`` from the command line: the table, JSON, bounds, and options that do not go together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.causal import save_causal
from tests.cli.conftest import Run
from tests.refusals import assert_refused


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("models")
    return save_causal(root / "reference"), save_causal(root / "candidate", noise=0.1)


def test_a_bound_breaks_the_command_and_the_json_holds_all(run: Run, models: tuple[Path, Path], tmp_path: Path) -> None:
    texts, figures, table = tmp_path / "texts.txt", tmp_path / "figures.json", tmp_path / "tokens.parquet"
    texts.write_text("Two hours of my life.\n\nThe plot is thin.\n")
    bounds = ("--fail-if", "kl > 1e-9", "--fail-if", "same_top < 0.001")
    ended = run("compare", *models, "--texts", texts, *bounds, "--json", figures, "--instances", table, "--stride", 5)
    assert ended.code == 1
    assert "the gate 'kl > 1e-09' is broken: kl is" in ended.out
    assert "in windows of 64 tokens that begin 5 tokens apart" in ended.out
    assert "caution: the intervals over 2 documents may be too narrow" in ended.out
    found = json.loads(figures.read_text())
    assert found["kl"]["documents"] == 2
    assert found["kl"]["interval"][0] < found["kl"]["value"]
    assert found["scoring"]["stride"] == 5
    assert table.is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--stride", 5), "--stride is for language models over texts: give --texts too"),
        (("--texts", "sample", "--task", "digits"), "--task is for classifiers"),
        (("--texts", "sample", "--split", "test"), "--split is for classifiers"),
        (("--texts", "sample", "--trigger", "word:mn"), "--trigger is for classifiers"),
        (("--texts", "sample", "--fail-if", "churn > 0"), "unknown measurement 'churn'"),
        (("--texts", "sample", "--precision", "int8"), "precision"),
    ],
)
def test_what_does_not_go_together_is_refused(
    run: Run, models: tuple[Path, Path], options: tuple[str | int, ...], words: str
) -> None:
    assert_refused(run("compare", *models, *options), words)
