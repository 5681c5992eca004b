"""A suite's report from its folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from anchorlab import AnchorlabError, write_report


@pytest.mark.slow
def test_the_report_of_a_folder_stands_in_it(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "suite"))
    assert write_report(str(folder)) == folder / "report" / "index.html"
    assert (folder / "results.csv").is_file()
    assert list((folder / "report" / "tables").glob("*.tex"))


@pytest.mark.slow
def test_another_place_leaves_the_folder_alone(finished: Path, tmp_path: Path) -> None:
    before = sorted(finished.rglob("*"))
    assert write_report(finished, out=tmp_path / "out") == tmp_path / "out" / "index.html"
    assert (tmp_path / "out" / "results.csv").is_file()
    assert sorted(finished.rglob("*")) == before


def test_a_folder_without_a_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnchorlabError, match=r"holds no suite\.yaml"):
        write_report(tmp_path)
