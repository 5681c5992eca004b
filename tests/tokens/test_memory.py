"""Memory by the number of tokens: the committed measurement, and one long document here."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from anchorlab.tokens import windows
from anchorlab.tokens.documents import open_texts
from anchorlab.tokens.scoring import Plan, score
from anchorlab.tokens.store import TokenStore
from anchorlab.tokens.vocabulary import encoder, parting
from anchorlab.tokens.worst import Worst
from tests.causal import tokenizer

ROOT = Path(__file__).parents[2]

#: Bytes that the rows of a comparison take on the disk, a token.
ROW = 100


@pytest.fixture(scope="module")
def measured():
    return pd.read_csv(ROOT / "benchmarks" / "tokens_memory.csv").set_index("form")


def test_five_times_the_tokens_take_no_more_memory_than_what_is_read_at_once(measured):
    """Further tokens whose rows stayed in memory would take four times as much as was measured, or more."""
    small, large = measured.loc["documents"].itertuples(index=False)
    assert large.tokens == 5 * small.tokens
    assert (large.resident_mb - small.resident_mb) * 2**20 < ROW * (large.tokens - small.tokens) / 3


def test_a_document_of_ten_million_tokens_takes_little_more_than_its_text(measured):
    """No part of memory grows by its tokens, whose encodings, read whole, would take hundreds of bytes each."""
    small, _, large = measured.loc["one document"].itertuples(index=False)
    assert (small.documents, large.documents) == (1, 1)
    assert large.tokens == 10**7 - 1
    assert (large.resident_mb - small.resident_mb) * 2**20 < ROW * (large.tokens - small.tokens) / 3


def test_the_page_says_what_was_measured(measured):
    page = " ".join((ROOT / "docs" / "language-models.md").read_text().split())
    small, _, large = measured.loc["one document"].itertuples(index=False)
    assert f"takes {large.resident_mb} MiB of memory" in page
    assert f"where one of 0.2 million takes {small.resident_mb} MiB" in page
    small, large = measured.loc["one document read whole"].itertuples(index=False)
    each = (large.resident_mb - small.resident_mb) * 2**20 / (large.tokens - small.tokens) / 1000
    assert f"took {each:.2f} kB a token" in page


def test_the_page_says_how_fast_the_comparison_was():
    measured = pd.read_csv(ROOT / "benchmarks" / "tokens.csv").set_index("loop")
    page = (ROOT / "docs" / "language-models.md").read_text()
    told = page.split("<!-- speed of tokens -->")[1].split("<!-- end of speed -->")[0]
    for name, row in measured.drop("two bare passes").iterrows():
        assert f"{row.ratio:.2f} ({row.ratio_lowest:.2f}–{row.ratio_highest:.2f})" in told, name
    assert set(measured["vocabulary"]) == {49_152}
    assert set(measured["threads"]) == {2}


class Made:
    """Answers to a vocabulary of 300, without a model."""

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)

    def rows(self, batch):
        sizes = [len(window.targets) for window in batch.windows]
        return [torch.from_numpy(self._rng.random((size, 300), dtype=np.float32)) for size in sizes]


def test_memory_does_not_grow_with_the_tokens_of_one_document(tmp_path, monkeypatch):
    """The most that numpy and Python held at once, from the file to the rows; test_summary has the rest of the way."""
    monkeypatch.setattr(windows, "PART", 1000)
    told, words = tokenizer(), np.array(["film", "dull", "moving", "plot", "the", "long"])
    gc.freeze()  # so that little is looked at after each window, when Python gives back what it keeps
    file, read = tmp_path / "text.txt", []
    for size in (1000, 1000, 4000):  # the first one pays for what is made once
        file.write_text(" ".join(words[np.random.default_rng(0).integers(0, len(words), size)]))
        gc.collect()
        tracemalloc.start()
        texts = open_texts(file)
        texts.checked()
        plan = Plan(texts, encoder(told, told), 64, 64, None, apart=parting(told, told))
        with TokenStore() as store:
            score(plan.batches(), Made(0), Made(1), store, Worst(5), lambda _: gc.collect())
            read.append((store.tokens, tracemalloc.get_traced_memory()[1]))
        tracemalloc.stop()
    gc.unfreeze()
    (fewer, less), (more, most) = read[1:]
    assert more > 3 * fewer
    assert most - less < 4 * (more - fewer)  # the text has 1.6 bytes a token, and no token leaves more
