"""What the docs say of other tools beside ours is what the experiments measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

BESIDE = Path(__file__).parent.parent / "experiments" / "tokens_beside"


def test_the_statistics_from_llama_cpps_logits_are_its_own() -> None:
    """28 of 34 lines are the same text; the others differ by at most 5 units of the sixth decimal."""
    table = pd.read_csv(BESIDE / "llama_cpp.csv", dtype=str)
    differ = table[table["llama_cpp"] != table["from_its_logits"]]
    assert (len(table), len(differ)) == (34, 6)
    assert set(differ["statistic"].str.partition("_")[0]) == {"kl"}
    assert (differ["llama_cpp"].astype(float) - differ["from_its_logits"].astype(float)).abs().max() < 5.5e-6


def test_the_page_has_the_means_of_the_table() -> None:
    page = (BESIDE.parent.parent / "docs" / "other-tools.md").read_text(encoding="utf-8")
    row = pd.read_csv(BESIDE / "llama_cpp.csv", dtype=str).set_index("statistic").loc["kl"]
    theirs, stored = (" ".join(row[column].split()) for column in ("llama_cpp", "from_its_two_base_files"))
    assert f"the mean is {theirs}" in page
    assert f"the mean is {stored.partition(' ')[0]}" in page


def test_the_mean_of_modeldiffr_is_ours_where_the_definitions_agree() -> None:
    """To four digits, its interval too; and the page has the table."""
    table = pd.read_csv(BESIDE / "modeldiffr.csv", index_col="mean")
    theirs, ours = (table.loc[name, ["kl", "lower", "upper"]] for name in ("modeldiffr", "anchorlab, mean of texts"))
    assert ours.to_numpy() == pytest.approx(theirs.to_numpy(), rel=1e-4)
    page = (BESIDE.parent.parent / "docs" / "other-tools.md").read_text(encoding="utf-8")
    for name, row in table.iterrows():
        line = f"| {name} | {row['kl']:.6f} | [{row['lower']:.6f}, {row['upper']:.6f}] | {row['tokens']:.0f} |"
        assert line in page
