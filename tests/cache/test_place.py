"""One rule says where the cache is, and how much it holds."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from anchorlab.cache.notes import note, recall
from anchorlab.cache.place import kept_folder, limit, readable_folder, user_cache, writable_folder
from anchorlab.errors import AnchorlabError
from anchorlab.notices import Notice


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


def test_a_user_without_a_home_keeps_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a container that runs under any number; nothing is written into a folder called ~."""

    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.chdir(tmp_path)
    for variable in ("ANCHORLAB_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(AnchorlabError, match="no home folder"):
        user_cache()
    assert readable_folder() is None
    with pytest.warns(Notice, match=r"nothing is kept.*no home folder"):
        assert writable_folder() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [('"value": [1.5]', '"value": [1.7]'), ("{", "["), ('"check"', '"chick"')])
def test_a_changed_note_is_none(cache: Path, change: tuple[str, str]) -> None:
    key = "ab" * 32
    note(key, [1.5])
    assert recall(key) == [1.5]
    path = cache / "notes" / f"{key}.json"
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change, 1))
    assert recall(key) is None


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
