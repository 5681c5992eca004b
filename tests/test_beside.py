"""What the docs say of other tools beside ours is what the experiments measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

BESIDE = Path(__file__).parent.parent / "experiments" / "tokens_beside"


def test_the_statistics_from_llama_cpps_logits_are_its_own() -> None:
    """28 of 34 lines are the same text; the others differ by at most 5 units of the sixth decimal."""
    table = pd.read_csv(BESIDE / "llama_cpp.csv", dtype=str)
    differ = table[table["llama_cpp"] != table["from_its_logits"]]
    assert (len(table), len(differ)) == (34, 6)
    assert set(differ["statistic"].str.partition("_")[0]) == {"kl"}
    assert (differ["llama_cpp"].astype(float) - differ["from_its_logits"].astype(float)).abs().max() < 5.5e-6
