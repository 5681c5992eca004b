"""The Markdown of a pull request: the decision first, then each check, and no text that does anything."""

from __future__ import annotations

import pytest

from anchorlab.reports.acceptance.record import Check
from anchorlab.reports.acceptance.summary import summary_text
from anchorlab.statistics.escaping import markdown
from tests.hostile import HOSTILE
from tests.reports.acceptance.made_up import RECORDS, acceptance


@pytest.mark.parametrize(
    ("name", "decision"),
    [
        ("accepted", "✅ anchorlab compare: accepted"),
        ("broken", "❌ anchorlab compare: not accepted"),
        ("unjudged", "⚠️ anchorlab compare: could not be judged"),
        ("refused", "⚠️ anchorlab compare: could not be judged"),
        ("without a gate", "➖ anchorlab compare: measured, not judged"),
        ("a verdict without a gate", "➖ anchorlab audit: measured, not judged"),
        ("a verdict beside a gate", "✅ anchorlab audit: accepted"),
    ],
)
def test_the_decision_is_the_heading(name: str, decision: str) -> None:
    assert summary_text(RECORDS[name]).splitlines()[0] == f"### {decision}"


def test_each_check_is_a_row() -> None:
    lines = summary_text(RECORDS["broken"]).splitlines()
    (row,) = [line for line in lines if line.startswith("| ❌")]
    assert row == (
        "| ❌ | kl.upper &gt; 0.01 | 0.15 | 0.1 to 0.2 | the gate 'kl.upper &gt; 0.01' is broken: kl.upper is 0.2 |"
    )
    assert "- **caution:** fewer than 50 attacked examples" in lines
    assert "Written: c.html" in lines
    assert "<sub>anchorlab 0.1.0, exit code 1</sub>" in lines


def test_the_numbers_are_folded_away() -> None:
    text = summary_text(RECORDS["accepted"])
    assert "<details><summary>b against a · 500 instances</summary>\n\n| measurement | value |" in text
    assert "- The candidate answers alike.\n" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_stays_a_text(text: str) -> None:
    found = summary_text(acceptance(Check("g", text, "failed", text), sentences=[text], cautions=[text]))
    (row,) = [line for line in found.splitlines() if line.startswith("| ❌")]
    assert row == f"| ❌ | {markdown(text)} |  |  | {markdown(text)} |"
    assert f"- {markdown(text)}" in found.splitlines()
