"""What goes is the least recently used, and nothing that is not ours."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from anchorlab.cache import notes, store, upkeep


def keep(letter: str, used: float | None = None) -> Path:
    key = letter * 64
    entry = store.keep("data", key, {"a": np.zeros(1000, np.uint8)}, None, what="", source="")
    assert entry is not None
    if used is not None:
        os.utime(entry.place.folder, (used, used))
    return entry.place.folder


def names() -> list[str]:
    return [entry.folder.name[0] for entry in upkeep.entries()]


def test_the_least_recently_used_goes_where_the_limit_is_reached(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for letter, used in (("a", 300), ("b", 100), ("c", 200)):
        keep(letter, used)
    size = next(upkeep.entries()).size
    monkeypatch.setenv("ANCHORLAB_CACHE_LIMIT", str(3.5 * size / 1e9))
    keep("d")
    assert names() == ["a", "c", "d"]


def test_reading_is_use(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for letter, used in (("a", 100), ("b", 200)):
        keep(letter, used)
    assert store.find("data", "a" * 64) is not None
    monkeypatch.setenv("ANCHORLAB_CACHE_LIMIT", str(2.5 * next(upkeep.entries()).size / 1e9))
    keep("c")
    assert names() == ["a", "c"]


def test_clearing_removes_all_and_says_how_much(cache: Path) -> None:
    keep("a"), keep("b")
    notes.note("c" * 64, 1)
    size = upkeep.total()
    assert upkeep.clear() == (2, size)
    assert list(cache.iterdir()) == []
    assert upkeep.clear() == (0, 0)


def test_clearing_may_leave_what_was_used_lately(cache: Path) -> None:
    keep("a", 100), keep("b", 300)
    notes.note("c" * 64, 1)
    assert upkeep.clear(before=200)[0] == 1
    assert names() == ["b"]
    assert notes.recall("c" * 64) == 1


def test_what_is_not_ours_stays(cache: Path) -> None:
    folder = keep("a")
    foreign = [
        folder / "thesis.txt",
        cache / "mine" / "photo.jpg",
        cache.parent / "download.tar.gz",
        cache / "data" / "b",
    ]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    assert upkeep.clear() == (0, 0)
    assert all(path.exists() for path in foreign)
    assert (folder / "a.npy").exists()


def test_links_are_never_followed(cache: Path, tmp_path: Path) -> None:
    folder = keep("a")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "about.json").write_text("{}")
    (cache / "data" / ("b" * 64)).symlink_to(outside)
    (cache / "tokens").symlink_to(outside)
    (folder / "a.npy").unlink()
    (folder / "a.npy").symlink_to(outside / "about.json")
    assert upkeep.clear()[0] == 1
    assert (outside / "about.json").exists()


def test_what_a_killed_process_left_goes_with_the_next_entry(cache: Path) -> None:
    keep("a")
    left = cache / "data" / f".{'b' * 64}.abcdefgh.tmp"
    left.mkdir()
    (left / "a.npy").write_text("half")
    keep("c")
    assert not left.exists()


def test_the_oldest_small_values_go_where_there_are_many(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_MOST_NOTES", 2)
    for place, letter in enumerate("abc"):
        notes.note(letter * 64, place)
        os.utime(cache / "notes" / f"{letter * 64}.json", (place, place))
    keep("d")
    assert [notes.recall(letter * 64) for letter in "abc"] == [None, 1, 2]


@pytest.mark.parametrize("content", ["", "[1]", '{"of": "another", "value": 1}', "{" * 5000])
def test_a_damaged_small_value_is_none(cache: Path, content: str) -> None:
    notes.note("a" * 64, 1)
    (cache / "notes" / f"{'a' * 64}.json").write_text(content)
    assert notes.recall("a" * 64) is None
