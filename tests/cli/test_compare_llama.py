"""``compare --as llama.cpp`` from the command line: its block, our intervals, a log beside it, gates and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from anchorlab import compare_as_llama_cpp
from tests.causal import save_causal
from tests.cli.conftest import Run
from tests.refusals import assert_refused
from tests.tokens.base_files import write_base


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Base files of two models that differ a little, over 21 chunks of 16 tokens."""
    rng = np.random.default_rng(3)
    tokens = rng.integers(9, size=(21, 16))
    logits = rng.normal(size=(21, 7, 9)) * 2
    shifted = logits + 0.1 * rng.normal(size=logits.shape)
    return write_base(tmp_path / "base.kld", tokens, logits), write_base(tmp_path / "q4.kld", tokens, shifted)


def test_the_block_is_printed_and_kept_as_json(run: Run, files: tuple[Path, Path], tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    ended = run("compare", *files, "--as", "llama.cpp", "--json", figures)
    assert ended.code == 0
    lines = compare_as_llama_cpp(*files).lines()
    assert ended.out.splitlines()[: len(lines)] == lines
    kept = json.loads(figures.read_text())
    assert kept["kl"]["chunks"] == 21
    assert kept["kl"]["interval"][0] < kept["kl"]["value"] < kept["kl"]["interval"][1]


def test_a_base_file_alone_is_the_reference_of_our_own_measures(run: Run, tmp_path: Path) -> None:
    model, rng = save_causal(tmp_path / "model"), np.random.default_rng(3)
    base = write_base(tmp_path / "base.kld", rng.integers(300, size=(3, 16)), rng.normal(size=(3, 7, 300)))
    ended = run("compare", base, model, "--fail-if", "kl > 0.001", "--out", tmp_path / "page")
    assert ended.code == 1
    assert "Scored are positions 8 to 14 of each chunk of 16 tokens" in ended.out
    assert "16-bit log-probabilities" in (tmp_path / "page" / "tokens.json").read_text()
    assert_refused(run("compare", base, model, "--texts", "sample.txt"), "holds its tokens", "leave out texts")
    assert_refused(run("compare", base, model, "--context", 8), "leave out context")


def test_a_bound_on_a_statistic_is_judged(run: Run, files: tuple[Path, Path]) -> None:
    bounds = ("--fail-if", "kl.upper > 0.0001", "--fail-if", "same_top < 0.1")
    ended = run("compare", *files, "--as", "llama.cpp", *bounds)
    assert ended.code == 1
    assert "the gate 'kl.upper > 0.0001' is broken" in ended.out
    assert "the gate 'same_top < 0.1' holds" in ended.out


def test_a_pasted_block_stands_beside_ours(run: Run, files: tuple[Path, Path], tmp_path: Path) -> None:
    log = tmp_path / "q4.log"
    log.write_text("\n".join(compare_as_llama_cpp(*files).lines()[:-2]), encoding="utf-8")
    ended = run("compare", *files, "--as", "llama.cpp", "--beside", log)
    row = next(line for line in ended.out.splitlines() if line.startswith("99.0% KLD"))
    here, theirs, difference = row.split()[2:]
    assert here == theirs
    assert float(difference) == 0
    assert "in q4.log" in ended.out


def test_what_does_not_go_with_it_is_refused(run: Run, files: tuple[Path, Path], tmp_path: Path) -> None:
    base, candidate = files
    assert_refused(run("compare", base, candidate), "a candidate by its definitions alone: add --as llama.cpp, or give")
    assert_refused(run("compare", base, candidate, "--as", "gguf"), "--as 'gguf' names nobody's definitions")
    assert_refused(run("compare", "a", "b", "--beside", tmp_path / "log"), "--beside is for llama.cpp's block")
    assert_refused(run("compare", base, candidate, "--as", "llama.cpp", "--task", "digits"), "--task does not go with")
    assert_refused(run("compare", base, candidate, "--as", "llama.cpp", "--samples"), "--samples does not go with")
    assert_refused(
        run("compare", base, candidate, "--as", "llama.cpp", "--fail-if", "churn > 0"), "measurement 'churn'"
    )
    assert_refused(run("compare", base, tmp_path / "none.kld", "--as", "llama.cpp"), "there is no file")
