"""The committed measurement of memory by the number of tokens."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

FILE = Path(__file__).parents[2] / "benchmarks" / "tokens_memory.csv"

#: Bytes that the rows of a comparison take on the disk, a token.
ROW = 100


def test_five_times_the_tokens_take_no_more_memory_than_what_is_read_at_once():
    """Further tokens whose rows stayed in memory would take four times as much as was measured, or more."""
    small, large = pd.read_csv(FILE).itertuples(index=False)
    assert large.tokens == 5 * small.tokens
    assert (large.resident_mb - small.resident_mb) * 2**20 < ROW * (large.tokens - small.tokens) / 3
