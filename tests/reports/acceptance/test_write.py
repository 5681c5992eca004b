"""The files are written whole, in their places alone, and nothing of others is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from anchorlab import AnchorlabError
from anchorlab.reports.acceptance.summary import summary_text
from anchorlab.reports.acceptance.write import STEP_SUMMARY, check_places, write_acceptance
from tests.reports.acceptance.made_up import RECORDS

RECORD = RECORDS["broken"]


def test_only_what_is_wanted_is_written(tmp_path: Path) -> None:
    write_acceptance(RECORD)
    write_acceptance(RECORD, junit=tmp_path / "deep" / "junit.xml")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["junit.xml"]


def test_files_are_replaced_but_the_step_summary_is_added_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, shared = tmp_path / "own.md", tmp_path / "shared.md"
    monkeypatch.setenv(STEP_SUMMARY, str(shared))
    for file in (own, shared):
        file.write_text("# Before\n")
        write_acceptance(RECORD, summary=file)
    text = summary_text(RECORD)
    assert own.read_text() == text
    assert shared.read_text() == f"# Before\n\n{text}"
    write_acceptance(RECORD, summary=tmp_path / "." / "shared.md")
    assert shared.read_text() == f"# Before\n\n{text}\n{text}"


def test_a_step_summary_that_is_empty_or_missing_gets_the_text_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared.md"
    monkeypatch.setenv(STEP_SUMMARY, str(shared))
    write_acceptance(RECORD, summary=shared)
    assert shared.read_text() == summary_text(RECORD)
    shared.write_text("\n")
    write_acceptance(RECORD, summary=shared)
    assert shared.read_text() == summary_text(RECORD)


def test_two_options_cannot_name_one_file(tmp_path: Path) -> None:
    check_places({"--junit": tmp_path / "a", "--sarif": None, "--summary": tmp_path / "b"})
    with pytest.raises(AnchorlabError, match=r"--junit and --sarif both name .*: give each a file of its own"):
        check_places({"--junit": tmp_path / "a", "--sarif": tmp_path / "." / "a"})
    with pytest.raises(AnchorlabError, match="not an ordinary file"):
        check_places({"--junit": tmp_path})
