"""The record of an audit, its schema in the package and in the docs, and how it is read back."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pandas as pd
import pytest

from anchorlab import AnchorlabError, write_report
from anchorlab.reports.audit import write_audit
from anchorlab.reports.audit.record import AuditRecord
from anchorlab.reports.audit.schema import SCHEMA, schema, schema_tables
from anchorlab.reports.audit.stored import check_audit_folder, read_audit
from anchorlab.reports.token_audit import check_token_audit_folder
from tests.refusals import refused

DOCS = Path(__file__).parents[3] / "docs"


def test_the_schema_in_the_package_is_that_of_the_record() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema(), "run python -m anchorlab.reports.audit.schema"
    jsonschema.Draft202012Validator.check_schema(json.loads(schema()))


def test_the_docs_show_the_schema() -> None:
    assert schema_tables() in (DOCS / "audit.md").read_text(encoding="utf-8")


def test_a_written_audit_fits_the_schema_and_is_read_back(record: AuditRecord, tmp_path: Path) -> None:
    page = write_audit(record, tmp_path)
    written = json.loads((tmp_path / "audit.json").read_text())
    jsonschema.validate(written, json.loads(SCHEMA.read_text()))
    assert read_audit(tmp_path) == record
    before = page.read_text()
    assert write_report(tmp_path).read_text() == before
    assert {path.name for path in tmp_path.iterdir()} == {
        "audit.json", "index.html", "changed.csv", "power.csv", "power.png", "power.svg"
    }  # fmt: skip
    changed = pd.read_csv(tmp_path / "changed.csv")
    assert list(changed["row"]) == [query.row for query in record.changed]
    assert changed["reference_probability"].between(0, 1).all()


def test_an_audit_of_the_former_one_sided_form_is_read_two_sided(tmp_path: Path) -> None:
    access = {
        "access": "logits",
        "statistic": [0.1, 0.05, 0.15],
        "null": [1.0 + number for number in range(39)],
        "p": 1.0,
        "level": 0.05,
        "queries_for_95": None,
        "power": {"queries": [1, 10, 50], "power": [0.0, 0.0, 0.0]},
    }
    former = {"queries": 50, "updates": 39, "accesses": [access], "sentences": ["50 queries"]}
    (tmp_path / "audit.json").write_text(json.dumps(former))
    read = read_audit(tmp_path)
    assert (read.verdict.value, read.verdict.p) == ("unusual: less", 0.05)
    assert "before tests were two-sided" in read.cautions[0]
    assert "Unusual: less" in write_report(tmp_path).read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": 3}', "of a version that is not known here"),
        ('{"format": 2}', "the audit .*; run anchorlab audit again with --out"),
        ("{}", "is damaged .*: run anchorlab audit again with --out"),
        ("[", "cannot be read as JSON"),
    ],
)
def test_a_damaged_record_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "audit.json").write_text(content)
    refused(message, read_audit, tmp_path)


@pytest.mark.parametrize(
    ("name", "text"), [("audit.json", '{"mine": 1}'), ("audit.json", "no"), ("index.html", "mine")]
)
def test_what_no_audit_wrote_is_not_replaced(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(AnchorlabError, match=f"{name} is none that 'anchorlab audit' wrote"):
        check_audit_folder(tmp_path)


def test_audits_of_classifiers_and_of_language_models_do_not_replace_each_other(
    record: AuditRecord, tmp_path: Path
) -> None:
    (tmp_path / "token-audit.json").write_text("{}")
    (tmp_path / "index.html").write_text("a page")
    refused("holds an audit of a language model, .* and this one is of a classifier", check_audit_folder, tmp_path)
    write_audit(record, tmp_path / "other")
    refused("holds an audit of a classifier, .* of a language model", check_token_audit_folder, tmp_path / "other")


def test_the_folder_of_an_earlier_audit_is_written_to_again(record: AuditRecord, tmp_path: Path) -> None:
    write_audit(record, tmp_path)
    check_audit_folder(tmp_path)
