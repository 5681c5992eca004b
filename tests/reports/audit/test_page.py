"""The page of an audit: the verdict, what stands on it for each form of an audit, and that names are text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from anchorlab.reports.audit.page import access_table, churn_table, sensitivity_table, write_audit_page
from anchorlab.reports.audit.record import AuditedModel, AuditRecord, PowerRecord
from anchorlab.reports.audit.write import audit_record, write_audit
from anchorlab.scoring.audit_result import NO_PROOF
from tests.reports.audit.conftest import MakeAudit


@pytest.fixture(scope="module")
def page(record: AuditRecord, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_audit_page(record, tmp_path_factory.mktemp("page")).read_text()


def of(make_audit: MakeAudit, tmp_path: Path, **how: object) -> str:
    made = audit_record(make_audit(**how), AuditedModel(name="a"), AuditedModel(name="b"))
    return write_audit_page(made, tmp_path).read_text()


def test_the_verdict_and_that_nothing_is_proved_come_first(page: str, record: AuditRecord) -> None:
    text = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    first = [
        text.index(words) for words in (record.verdict.sentence, NO_PROOF, "The candidate among the benign updates")
    ]
    assert first == sorted(first)
    assert page.count(NO_PROOF) == 1


def test_everything_that_was_found_stands_on_it(page: str) -> None:
    for words in ("What the verdict hangs on", "neural-cleanse", "the detector onion", "it is for texts", "Power by"):
        assert words in page


def test_names_and_remarks_are_text(page: str) -> None:
    for markup in ("<b>dog", "ref<i>", "<u>remark"):
        assert markup not in page
    assert "&lt;b&gt;dog" in page


def test_it_needs_nothing_beside_it(page: str) -> None:
    addresses = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert all(address.startswith(("#", "data:")) for address in addresses)


def test_pictures_are_inside_and_classes_can_be_filtered(page: str, record: AuditRecord) -> None:
    assert page.count("data:image/png") == len(record.changed)
    assert page.count("<li data-changed=") == len(record.changed)
    options = re.findall(r'<option value="(\d+)">', page)
    assert [int(value) for value in options] == list(range(len(options)))
    assert max(int(value) for value in re.findall(r'data-classes="(\d+)', page)) < len(options)


def test_texts_are_escaped(make_audit: MakeAudit, tmp_path: Path) -> None:
    text = of(make_audit, tmp_path, kind="text", shift=0.5)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_stored_answers_have_no_pictures(make_audit: MakeAudit, tmp_path: Path) -> None:
    text = of(make_audit, tmp_path, kind="stored", labelled=False, shift=0.5)
    assert "data:image/png" not in text
    assert "No true labels are known" in text
    assert "whose answers were stored" in text


def test_answers_that_do_not_differ_say_so(make_audit: MakeAudit, tmp_path: Path) -> None:
    assert "No answer differs." in of(make_audit, tmp_path, shift=0.0)


def test_elements_are_closed(page: str) -> None:
    """Each element that is opened is closed, in order."""
    void = {"meta", "link", "img", "input", "br", "circle", "line", "rect", "path"}
    still_open: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in void:
                still_open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            if tag not in void:
                assert still_open.pop() == tag

    Reader().feed(page)
    assert still_open == []


def test_the_table_has_a_row_for_each_access_and_one_for_all(record: AuditRecord) -> None:
    rows = [row for _, row in access_table(record).rows()]
    assert [row.head for row in rows] == ["labels", "probabilities", "logits", "all at once"]
    assert [row.sub for row in rows] == ["", "", "the verdict", ""]


def test_the_verdict_is_shown_against_each_setting_alone(record: AuditRecord) -> None:
    rows = [row for _, row in sensitivity_table(record).rows()]
    assert [row.head for row in rows] == ["short", "long"]
    assert rows[1].cells[1].text == "90 steps of 128 examples, learning rate 0.001"
    assert rows[0].cells[-1].value == record.accesses[-1].p_by_setting["short"]


def test_churn_begins_with_the_class_that_changed_most(record: AuditRecord) -> None:
    table = churn_table(record)
    assert table is not None
    shares = [row.cells[2].value for _, row in table.rows()]
    assert shares == sorted(shares, reverse=True)


def test_too_few_updates_for_one_access_have_no_power_curve(record: AuditRecord, tmp_path: Path) -> None:
    still = [
        one.model_copy(update={"power": PowerRecord(queries=one.power.queries, power=[0.0] * len(one.power.power))})
        for one in record.accesses
    ]
    write_audit(record.model_copy(update={"updates": 19, "accesses": still}), tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "takes 39 benign updates, and with 19 it finds nothing" in page
    assert "Power by" not in page
    assert not list(tmp_path.glob("power.*"))
