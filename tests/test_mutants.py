"""What CONTRIBUTING.md says of mutants is what their table holds."""

from __future__ import annotations

import csv
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACE = ROOT / "experiments" / "mutants" / "mutants.csv"
EARLIER = "earlier review"


def rows(earlier: bool = False) -> list[dict[str, str]]:
    """The sample, or the survivors of an earlier review."""
    with PLACE.open(newline="") as stored:
        return [row for row in csv.DictReader(stored) if row["operator"].startswith(EARLIER) == earlier]


def test_all_have_run_and_contributing_says_how_many_are_noticed() -> None:
    sample = rows()
    assert all(row["noticed"] in ("yes", "no") for row in sample)
    left_out, equivalent = (sum(row["verdict"] == verdict for row in sample) for verdict in ("left out", "equivalent"))
    noticed = sum(row["noticed"] == "yes" for row in sample)
    text = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())
    said = re.search(
        r"sample of (\d+) places .*: (\d+) of them draw figures, (\d+) mean the same as before, and the tests "
        r"notice the other (\d+)\.",
        text,
    )
    assert said is not None
    assert [*map(int, said.groups())] == [len(sample), left_out, equivalent, noticed]
    assert left_out + equivalent + noticed == len(sample)


def test_every_mutant_that_no_test_notices_has_a_verdict_with_its_reason() -> None:
    for row in rows():
        assert bool(row["verdict"]) == bool(row["reason"])
        assert row["verdict"] in ("", "equivalent", "left out", "open")
        assert bool(row["verdict"]) == (row["noticed"] == "no"), row


def test_the_survivors_of_the_earlier_review_are_noticed() -> None:
    assert len(rows(earlier=True)) == 7
    assert all(row["noticed"] == "yes" for row in rows(earlier=True))
