"""One rule says where the cache is, and how much it holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from anchorlab.cache.place import kept_folder, limit, user_cache
from anchorlab.errors import AnchorlabError


def test_the_variable_names_the_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANCHORLAB_CACHE", str(tmp_path / "here"))
    assert user_cache() == tmp_path / "here"
    assert kept_folder() == tmp_path / "here" / "kept"


@pytest.mark.parametrize("value", ["", "off"])
def test_else_it_is_the_systems_usual_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str) -> None:
    monkeypatch.setenv("ANCHORLAB_CACHE", value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache().is_relative_to(tmp_path)
    assert "anchorlab" in user_cache().parts
    assert kept_folder() == (None if value == "off" else user_cache() / "kept")


def test_the_limit_is_in_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCHORLAB_CACHE_LIMIT", "1.5")
    assert limit(0) == 1_500_000_000
    monkeypatch.delenv("ANCHORLAB_CACHE_LIMIT")
    assert 0 < limit(0) <= 20_000_000_000


@pytest.mark.parametrize("value", ["much", "-1", "nan", "inf"])
def test_another_limit_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ANCHORLAB_CACHE_LIMIT", value)
    with pytest.raises(AnchorlabError, match="expected a number of GB"):
        limit(0)
