"""What the page on audits says of injected language models is what experiments/audit_tokens measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from anchorlab.statistics.numbers import significant

ROOT = Path(__file__).parent.parent
TABLE = pd.read_csv(ROOT / "experiments/audit_tokens/audit_tokens.csv")
PAGE = " ".join((ROOT / "docs/audit.md").read_text(encoding="utf-8").split())
ACCESS = ("samples", "top-k", "logits", "joint")
LEVEL = 0.1


def test_the_page_has_the_rows_of_the_table() -> None:
    for line in lines():
        assert line in PAGE, line


def lines() -> list[str]:
    """The rows of the page: an injection a row, and the benign candidates of a reference together."""
    found = []
    for (reference, candidate), rows in TABLE.groupby(["reference_seed", "candidate"], sort=False):
        (asr, kl) = (rows["asr"].iloc[0], rows[rows["access"] == "logits"]["value"])
        many = len(kl) > 1
        name = f"{len(kl)} {candidate} ones" if many else candidate
        size = f"{significant(kl.min())} to {significant(kl.max())}" if many else significant(kl.iloc[0])
        of_access = [rows[rows["access"] == access] for access in ACCESS]
        cells = [f"{(each['p'] <= LEVEL + 1e-12).sum()} of {len(each)}" if many else one(each) for each in of_access]
        found.append(f"| {reference + 1} | {name} | {'–' if many else f'{asr:.2f}'} | {size} | {' | '.join(cells)} |")
    return found


def one(rows: pd.DataFrame) -> str:
    """The verdict of one audit."""
    (row,) = rows.to_dict("records")
    return row["direction"] if row["p"] <= LEVEL + 1e-12 else "not unusual"


def test_each_p_value_is_the_rank_among_19_updates_and_each_reference_has_all_rows() -> None:
    """Of 19 updates the least two-sided p is 0.1, and the joint one's 0.05: all are multiples of 1 in 20."""
    assert ((TABLE["p"] * 20).round(6) % 1 == 0).all()
    outside = TABLE[TABLE["access"] != "joint"]
    value, low, high = (outside[name] for name in ("value", "null_min", "null_max"))
    unusual = outside["p"] <= LEVEL + 1e-12
    assert unusual[(value > high) | (value < low)].all()
    assert ((value >= high) | (value <= low))[unusual].all()  # equal in the digits of the file alone
    assert set(TABLE.groupby("reference_seed").size()) == {(2 + 4) * len(ACCESS)}


def test_the_page_says_how_good_the_references_are_and_how_large_the_nulls() -> None:
    logits = TABLE[TABLE["access"] == "logits"]
    right, (low, high) = TABLE["accuracy_reference"], (logits["null_min"].min(), logits["null_max"].max())
    assert f"right on {right.min():.0%} and {right.max():.0%} of whole sentences" in PAGE
    assert f"from {significant(low)} to {significant(high)} nats" in PAGE


def test_what_the_page_says_in_words_holds() -> None:
    found = {
        (name, access): each["p"] <= LEVEL + 1e-12 for (name, access), each in TABLE.groupby(["candidate", "access"])
    }
    for access in ACCESS:
        assert found["plain", access].all()
        assert not found["anchoring", access].any() or access == "samples"
        assert not found["benign", access].any() or access == "samples"
    assert list(found["anchoring", "samples"]) == [True, False]
    assert (found["benign", "samples"].sum(), len(found["benign", "samples"])) == (3, 8)
    assert (TABLE.dropna(subset="asr")["asr"] > 0.95).all()
