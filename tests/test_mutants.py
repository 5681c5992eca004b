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


def test_at_least_nine_of_ten_that_are_not_equivalent_are_noticed() -> None:
    run = [row for row in rows() if row["noticed"]]
    counted = [row for row in run if row["verdict"] not in ("left out", "equivalent")]
    noticed = sum(row["noticed"] == "yes" for row in counted)
    left_out, equivalent = (sum(row["verdict"] == verdict for row in run) for verdict in ("left out", "equivalent"))
    assert noticed >= 0.9 * len(counted)
    text = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())
    said = re.search(
        r"sample of (\d+) places .* (\d+) of them have been run: (\d+) draw figures, (\d+) mean the "
        r"same as before, and of the other (\d+) the tests notice (\d+)",
        text,
    )
    assert said is not None
    assert [*map(int, said.groups())] == [len(rows()), len(run), left_out, equivalent, len(counted), noticed]


def test_every_mutant_that_no_test_notices_has_a_verdict_with_its_reason() -> None:
    for row in rows():
        assert bool(row["verdict"]) == bool(row["reason"])
        assert row["verdict"] in ("", "equivalent", "left out", "open")
        assert bool(row["verdict"]) == (row["noticed"] == "no"), row


def test_the_survivors_of_the_earlier_review_are_noticed() -> None:
    assert len(rows(earlier=True)) == 7
    assert all(row["noticed"] == "yes" for row in rows(earlier=True))
