"""What a report leaves in the folder of a suite: the files of this report, and all that others put there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from anchorlab.files import write_atomically
from anchorlab.reports.suite.written import MADE_FROM, current_page, write_suite_report
from anchorlab.suites.results import SuiteResults, load_results

Draws = Callable[..., None]


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> Draws:
    """Sets which tables and figures a page has, because drawing real ones takes seconds."""

    def drawn(*names: str) -> None:
        def write_page(_results: object, out: Path) -> Path:
            for name in ("index.html", *names):
                write_atomically(out / name, "new")
            return out / "index.html"

        monkeypatch.setattr("anchorlab.reports.suite.page.write_page", write_page)

    return drawn


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "suite", ignore=shutil.ignore_patterns("report"))


def _names(folder: Path) -> set[str]:
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in files if name.endswith(".csv") or name.startswith(("report/", "tables/", "figures/"))}


def _without(results: SuiteResults, *frames: str) -> SuiteResults:
    return replace(results, **{name: pd.DataFrame() for name in frames})


def test_a_later_report_removes_what_only_the_former_one_wrote(folder: Path, draws: Draws) -> None:
    results = load_results(folder)
    draws("tables/repairs.csv", "tables/results.csv", "figures/repairs.png")
    write_suite_report(results, folder)
    own = {"report/tables/own.csv", "report/notes.txt", "repairs-of-mine.csv", "deployed.csv"}
    for name in own:
        (folder / name).write_text("mine")
    draws("tables/results.csv", "tables/roc.csv")
    fewer = _without(results, "scales", "equal")
    write_suite_report(fewer, folder)
    written = {"index.html", MADE_FROM, "tables/results.csv", "tables/roc.csv"}
    tables = {"results.csv", "selection.csv", "choices.csv"}
    assert _names(folder) == {f"report/{name}" for name in written} | tables | own
    assert current_page(fewer, folder) == folder / "report" / "index.html"


def test_it_is_the_same_elsewhere(folder: Path, tmp_path: Path, draws: Draws) -> None:
    results, out = load_results(folder), tmp_path / "out"
    draws("tables/repairs.csv")
    write_suite_report(results, folder, out)
    assert {"tables/repairs.csv", "scales.csv"} <= _names(out)
    draws()
    write_suite_report(_without(results, "scales"), folder, out)
    assert not {"tables/repairs.csv", "scales.csv"} & _names(out)
    assert "equal.csv" in _names(out)


def test_beside_a_report_without_a_list_only_the_usual_tables_go(folder: Path, draws: Draws) -> None:
    """Reports of older versions kept none."""
    draws("tables/results.csv")
    results = load_results(folder)
    write_suite_report(results, folder)
    (folder / "report" / MADE_FROM).write_text('{"sha256": "of an older version"}')
    (folder / "repairs.csv").write_text("the rows of a former suite")
    draws()
    write_suite_report(results, folder)
    assert "repairs.csv" not in _names(folder)
    assert {"report/tables/results.csv", "scales.csv"} <= _names(folder)


def test_an_interrupted_report_forgets_no_file(folder: Path, draws: Draws, monkeypatch: pytest.MonkeyPatch) -> None:
    draws("tables/repairs.csv")
    results = load_results(folder)
    write_suite_report(results, folder)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("anchorlab.reports.suite.page.write_page", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_suite_report(results, folder)
    assert current_page(results, folder) is None
    draws()
    write_suite_report(results, folder)
    assert "report/tables/repairs.csv" not in _names(folder)


def test_a_report_that_was_stopped_half_way_leaves_nothing_for_ever(
    folder: Path, draws: Draws, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = load_results(folder)

    def stopped(_results: object, out: Path) -> Path:
        write_atomically(out / "tables/a.csv", "new")
        raise KeyboardInterrupt

    monkeypatch.setattr("anchorlab.reports.suite.page.write_page", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_suite_report(results, folder)
    draws("tables/b.csv")
    write_suite_report(results, folder)
    assert "report/tables/b.csv" in _names(folder)
    assert "report/tables/a.csv" not in _names(folder)


def test_a_report_into_the_folder_of_the_page_leaves_the_tables_beside_it(folder: Path, draws: Draws) -> None:
    draws("tables/results.csv")
    results = load_results(folder)
    write_suite_report(results, folder)
    before = _names(folder)
    draws()
    write_suite_report(results, folder, folder / "report")
    assert {name for name in before if "/" not in name} <= _names(folder)
    assert "report/tables/results.csv" not in _names(folder)
    draws()
    write_suite_report(_without(results, "scales"), folder)
    assert "scales.csv" not in _names(folder)


def test_beside_a_page_elsewhere_without_a_list_nothing_goes(folder: Path, tmp_path: Path, draws: Draws) -> None:
    results, out = load_results(folder), tmp_path / "out"
    out.mkdir()
    (out / MADE_FROM).write_text('{"sha256": "of an older version"}')
    (out / "repairs.csv").write_text("mine")
    draws()
    write_suite_report(results, folder, out)
    assert (out / "repairs.csv").read_text() == "mine"


def test_a_page_counts_as_current_only_with_all_its_files(folder: Path, draws: Draws) -> None:
    draws("tables/results.csv")
    results = load_results(folder)
    write_suite_report(results, folder)
    assert current_page(results, folder) is not None
    (folder / "report/tables/results.csv").unlink()
    assert current_page(results, folder) is None


def test_a_name_in_other_letters_is_not_removed(folder: Path, draws: Draws) -> None:
    """On some systems they are one file."""
    results = load_results(folder)
    draws("figures/Plain.png")
    write_suite_report(results, folder)
    draws("figures/plain.png")
    write_suite_report(results, folder)
    assert "report/figures/plain.png" in _names(folder)


def test_a_list_that_was_tampered_with_reaches_nothing_else(folder: Path, tmp_path: Path, draws: Draws) -> None:
    draws()
    results = load_results(folder)
    write_suite_report(results, folder)
    (tmp_path / "thesis.tex").write_text("mine")
    (folder / "report" / "figures").symlink_to(tmp_path, target_is_directory=True)
    bad = [
        "../suite.yaml",
        "../../thesis.tex",
        "tables/../../suite.yaml",
        "figures/thesis.tex",
        str(tmp_path),
        "",
        "a\0",
    ]
    (folder / "report" / MADE_FROM).write_text(json.dumps({"files": bad}))
    write_suite_report(results, folder)
    assert (folder / "suite.yaml").is_file()
    assert (tmp_path / "thesis.tex").is_file()


@pytest.mark.slow
def test_the_list_holds_every_file_of_a_page(folder: Path) -> None:
    write_suite_report(load_results(folder), folder)
    listed = json.loads((folder / "report" / MADE_FROM).read_text())["files"]
    assert {f"report/{name}" for name in listed if not name.startswith("../")} == {
        name for name in _names(folder) if name.startswith("report/") and not name.endswith(MADE_FROM)
    }
    assert {name for name in listed if name.startswith("../")} == {
        f"../{name}" for name in _names(folder) if not name.startswith("report/")
    }
    assert len(listed) > 20
