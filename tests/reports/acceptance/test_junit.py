"""JUnit XML: a test case a check, the counts right, and legal whatever is in a name."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, fromstring

import pytest

from anchorlab.errors import printable
from anchorlab.reports.acceptance.junit import junit_xml
from anchorlab.reports.acceptance.record import Acceptance, Check
from tests.hostile import HOSTILE
from tests.reports.acceptance.made_up import FAILED, RECORDS, acceptance

#: What Jenkins' junit-10.xsd lets stand where.
ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "time", "skipped"},
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"name", "time", "classname"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "skipped": {"type", "message"},
    "system-out": set(),
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out"},
    "properties": {"property"},
    "testcase": {"failure", "error", "skipped", "system-out"},
}


def check(element: Element) -> None:
    """Checks an element and all below it against what the schema allows and needs."""
    assert set(element.attrib) <= ATTRIBUTES[element.tag]
    if element.tag == "testsuite":
        assert set(element.attrib) >= {"name", "tests", "failures", "errors"}
    assert re.fullmatch(r"\d*(\.\d*)?", element.attrib.get("time", ""))
    for child in element:
        assert child.tag in CHILDREN.get(element.tag, set())
        check(child)


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_every_record_is_of_the_form_and_counts_its_cases(record: Acceptance) -> None:
    root = fromstring(junit_xml(record))
    check(root)
    (suite,) = root
    cases = suite.findall("testcase")
    assert len(cases) == len(record.checks) == int(suite.attrib["tests"])
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.attrib[attribute]) == sum(case.find(tag) is not None for case in cases)


def test_a_broken_gate_is_a_failure_with_its_interval() -> None:
    (case,) = fromstring(junit_xml(RECORDS["broken"])).findall(".//testcase[failure]")
    (failure,) = case
    assert (case.attrib["classname"], case.attrib["name"]) == ("anchorlab.compare", "kl.upper > 0.01")
    assert failure.attrib == {"type": "gate", "message": FAILED.sentence}
    assert (failure.text or "").splitlines() == [FAILED.sentence, "Mean KL.", "95% interval: 0.1 to 0.2"]


def test_a_refusal_is_an_error_and_no_gate_is_skipped() -> None:
    assert fromstring(junit_xml(RECORDS["refused"])).find(".//testcase/error") is not None
    assert fromstring(junit_xml(RECORDS["without a gate"])).find(".//testcase/skipped") is not None


def test_cautions_and_sentences_stand_in_the_output() -> None:
    output = fromstring(junit_xml(RECORDS["broken"])).findtext("testsuite/system-out")
    assert output == "caution: fewer than 50 attacked examples"


@pytest.mark.parametrize("text", [*HOSTILE, "\x00\x0b\x1f\x7f\x85", "\ufffe\uffff", "]]>", "\ud800"])
def test_any_text_makes_a_document_that_says_it(text: str) -> None:
    record = acceptance(Check("gate/kl", text, "failed", text, text), cautions=[text])
    case = fromstring(junit_xml(record).encode()).find(".//testcase")
    assert case is not None
    shown = case.attrib["name"]
    for sign in text:
        assert sign in shown or sign.encode("unicode_escape").decode() in shown or sign == "\r"
    assert re.sub(r"\s", "", printable(text)).isascii() <= shown.isascii()
