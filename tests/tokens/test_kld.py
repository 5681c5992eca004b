"""Base files of llama.cpp are read as they are documented, a few rows at a time, and refused where they are damaged."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anchorlab.errors import AnchorlabError
from anchorlab.tokens.kld import open_base
from tests.tokens.base_files import write_base

CONTEXT, CHUNKS = 7, 3
SCORED = 3


@pytest.fixture(params=[5, 6], ids=["odd vocabulary", "even vocabulary"])
def logits(request: pytest.FixtureRequest) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.normal(size=(CHUNKS, SCORED, request.param)).astype(np.float32) * 3


@pytest.fixture
def tokens() -> np.ndarray:
    return np.random.default_rng(2).integers(5, size=(CHUNKS, CONTEXT))


@pytest.fixture
def base(tmp_path: Path, logits: np.ndarray, tokens: np.ndarray) -> Path:
    return write_base(tmp_path / "base.kld", tokens, logits)


def test_tokens_and_sizes_are_those_of_the_file(base: Path, logits: np.ndarray, tokens: np.ndarray) -> None:
    opened = open_base(base)
    assert (opened.context, opened.vocabulary, opened.scored) == (CONTEXT, logits.shape[2], SCORED)
    assert np.array_equal(opened.tokens, tokens)


def test_rows_are_the_log_probabilities_to_half_a_step(base: Path, logits: np.ndarray) -> None:
    """A step is the span of a row's logits, at most 16, in 65,535 parts."""
    opened = open_base(base)
    exact = logits - np.log(np.exp(logits.astype(np.float64)).sum(axis=2, keepdims=True))
    for chunk in range(CHUNKS):
        assert opened.rows(chunk, 0, SCORED) == pytest.approx(exact[chunk], abs=0.51 * 16 / 65535 + 2e-6)


def test_some_rows_are_the_same_as_all(base: Path) -> None:
    opened = open_base(base)
    assert np.array_equal(opened.rows(2, 1, 3), opened.rows(2, 0, 3)[1:])


def test_what_is_rarer_than_16_nats_below_the_likeliest_is_stored_as_so_rare(tmp_path: Path) -> None:
    logits = np.array([[[0.0, -30.0, -np.inf, -15.0]]], dtype=np.float32)
    row = open_base(write_base(tmp_path / "deep.kld", np.zeros((1, 3), dtype=int), logits)).rows(0, 0, 1)[0]
    assert row == pytest.approx([0, -16, -16, -15], abs=2e-4)


def test_a_row_of_equal_logits_is_uniform(tmp_path: Path) -> None:
    flat = np.zeros((1, 1, 4), dtype=np.float32)
    row = open_base(write_base(tmp_path / "flat.kld", np.zeros((1, 3), dtype=int), flat)).rows(0, 0, 1)[0]
    assert row == pytest.approx([-np.log(4)] * 4)


def _cut(to: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:to]


def _with(place: int, number: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:place] + struct.pack("<i", number) + content[place + 4 :]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_cut(0), "does not begin with _logits_"),
        (_cut(5), "does not begin with _logits_"),
        (lambda content: b"GGUF" + content[4:], "does not begin with _logits_"),
        (_cut(13), "ends within its header"),
        (_cut(40), "ends within its tokens"),
        (_cut(-1), "2 whole chunks of 3"),
        (lambda content: content + b"\0\0", "2 bytes after its last chunk"),
        (_with(8, 2), "context 2"),
        (_with(8, -7), "context -7"),
        (_with(12, 0), "vocabulary 0"),
        (_with(16, 0), "0 chunks"),
        (_with(16, 2**31 - 1), "ends within its tokens"),
        (_with(20, -1), "tokens from -1"),
        (_with(20, 99), "tokens from 0 to 99"),
    ],
)
def test_a_damaged_file_is_refused(base: Path, damage: Callable[[bytes], bytes], words: str) -> None:
    base.write_bytes(damage(base.read_bytes()))
    with pytest.raises(AnchorlabError, match=words):
        open_base(base)


@pytest.mark.parametrize("number", [0x7FC00000, 0x7F800000, -0x40800000, 0x3F800000])
def test_a_row_with_an_impossible_scale_is_refused(base: Path, number: int) -> None:
    """Not a number, infinity, -1, and 1, which would make the likeliest entry e^65535."""
    first_row = 20 + 4 * CONTEXT * CHUNKS
    base.write_bytes(_with(first_row, number)(base.read_bytes()))
    with pytest.raises(AnchorlabError, match="row of chunk 1"):
        open_base(base).rows(0, 0, 1)


def test_a_file_that_is_cut_while_it_is_read_is_refused(base: Path) -> None:
    opened = open_base(base)
    base.write_bytes(base.read_bytes()[:-4])
    with pytest.raises(AnchorlabError, match="has become shorter"):
        opened.rows(2, 0, 3)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnchorlabError, match="not a file"):
        open_base(tmp_path)
