"""The verdict of an audit is a test case, and decides no exit code by itself."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

from anchorlab.cli.gates import Judging
from anchorlab.reports.acceptance.junit import junit_xml
from anchorlab.reports.acceptance.verdicts import verdict_check
from anchorlab.scoring.audit_result import Verdict
from tests.reports.acceptance.made_up import FAILED, PASSED, acceptance

UNUSUAL = Verdict("logits", True, "less", 0.025, 0.05, "The difference is unusual.")
ORDINARY = Verdict("labels", False, None, 0.6, 0.05, "The difference is not unusual.")


def test_an_unusual_difference_fails_and_an_ordinary_one_passes() -> None:
    check = verdict_check(UNUSUAL)
    assert (check.rule, check.outcome, check.value) == ("verdict", "failed", 0.025)
    assert (check.name, check.sentence) == (
        "the difference is an ordinary one, by logits",
        "The difference is unusual.",
    )
    assert verdict_check(ORDINARY).outcome == "passed"


def test_a_verdict_fails_as_a_verdict_and_a_bound_as_a_gate() -> None:
    failures = fromstring(junit_xml(acceptance(verdict_check(UNUSUAL), FAILED))).findall(".//failure")
    assert [failure.attrib["type"] for failure in failures] == ["verdict", "gate"]


def test_the_exit_code_is_that_of_the_bounds() -> None:
    assert Judging([verdict_check(UNUSUAL)]).code == 0
    assert Judging([verdict_check(UNUSUAL), PASSED]).code == 0
    assert Judging([verdict_check(ORDINARY), PASSED, FAILED]).code == 1


def test_the_answer_says_the_bounds_and_the_broken_ones_first() -> None:
    assert Judging([verdict_check(UNUSUAL), PASSED, FAILED]).sentences == (FAILED.sentence, PASSED.sentence)
