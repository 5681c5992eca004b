"""What the endings of several commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from anchorlab.cli.following import beside


@pytest.mark.parametrize("folder", [".", "model/..", ".."])
def test_a_folder_without_a_name_of_its_own_is_called_by_its_whole_path(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "model" / "of mine"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    named = {".": here, "model/..": here, "..": here.parent}[folder]
    assert beside(Path(folder), "audit") == named.with_name(f"{named.name}-audit")


def test_a_folder_that_is_there_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "model-audit").mkdir()
    assert beside(tmp_path / "model", "audit") == tmp_path / "model-audit-2"
