"""The checks as JUnit XML, which continuous integration shows as test cases.

The form is the one that Jenkins' schema ``junit-10.xsd`` describes and that GitLab and others read. It holds no time of
day and no host, so that the same result makes the same file but for the seconds.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from anchorlab.reports.acceptance.record import Acceptance, Check
from anchorlab.statistics.escaping import xml


def junit_xml(acceptance: Acceptance) -> str:
    """One test suite with a test case for each check.

    A broken gate is a ``failure``, what could not be judged an ``error``, and a run without a gate is ``skipped``.
    """
    counts = {
        "tests": str(len(acceptance.checks)),
        "failures": str(acceptance.count("failed")),
        "errors": str(acceptance.count("error")),
        "time": f"{acceptance.seconds:.3f}",
    }
    name = f"anchorlab {acceptance.command}"
    root = Element("testsuites", {"name": name, **counts})
    suite = SubElement(root, "testsuite", {"name": name, **counts, "skipped": str(acceptance.count("skipped"))})
    properties = SubElement(suite, "properties")
    for key, value in _properties(acceptance):
        SubElement(properties, "property", {"name": key, "value": xml(value)})
    for check in acceptance.checks:
        _add_case(suite, acceptance, check)
    remarks = [*acceptance.sentences, *(f"caution: {caution}" for caution in acceptance.cautions)]
    if remarks:
        SubElement(suite, "system-out").text = xml("\n".join(remarks))
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _properties(acceptance: Acceptance) -> list[tuple[str, str]]:
    return [
        ("anchorlab.version", acceptance.version),
        ("reference", str(acceptance.reference)),
        ("candidate", str(acceptance.candidate)),
        *(("file", str(file)) for file in acceptance.files),
    ]


def _add_case(suite: Element, acceptance: Acceptance, check: Check) -> None:
    case = SubElement(
        suite, "testcase", {"classname": xml(f"anchorlab.{acceptance.command}"), "name": xml(check.name), "time": "0"}
    )
    if check.outcome == "failed":
        _add_reason(case, "failure", check, kind=check.rule.partition("/")[0])
    elif check.outcome == "error":
        _add_reason(case, "error", check, kind="refusal")
    elif check.outcome == "skipped":
        SubElement(case, "skipped", {"message": xml(check.sentence)})
    else:
        SubElement(case, "system-out").text = xml(check.sentence)


def _add_reason(case: Element, tag: str, check: Check, *, kind: str) -> None:
    lines = [check.sentence]
    if check.definition:
        lines.append(check.definition)
    if check.interval is not None:
        lines.append(f"95% interval: {check.interval[0]:.6g} to {check.interval[1]:.6g}")
    reason = SubElement(case, tag, {"type": kind, "message": xml(check.sentence)})
    reason.text = xml("\n".join(lines))
