"""``cache``: what is kept, from where, and how it goes."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import numpy as np
import pytest

from anchorlab.cache import store
from tests.cli.conftest import Run

DAY = 24 * 3600


def keep(letter: str, source: str = "photos", days: float = 0) -> Path:
    arrays = {"a": np.zeros(2_000_000, np.uint8)}
    entry = store.keep("data", letter * 64, arrays, None, what="20 images", source=source)
    assert entry is not None
    if days:
        os.utime(entry.place.folder, (time.time() - days * DAY,) * 2)
    return entry.place.folder


def test_it_shows_what_is_kept_from_where_and_how_much(run: Run, cache: Path) -> None:
    keep("a", "my photos"), keep("b", "reviews.csv", days=3)
    shown = run("cache")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.index("my photos") < shown.out.index("reviews.csv")
    assert time.strftime("%Y-%m-%d", time.localtime(time.time() - 3 * DAY)) in shown.out
    assert f"{cache} keeps 2 entries, 4.0 MB of at most" in shown.out


def test_without_a_cache_it_says_so_and_makes_none(run: Run, cache: Path) -> None:
    assert f"{cache} keeps 0 entries, 0.0 MB" in run("cache").out
    assert not cache.exists()


def test_clearing_says_how_much_it_removed(run: Run, cache: Path) -> None:
    keep("a")
    answer = json.loads(run("cache", "--clear", "--json", "-").out)
    assert answer["removed"]["entries"] == 1
    assert answer["removed"]["bytes"] > 2_000_000
    assert answer["entries"] == []
    assert answer["sentences"][0] == "removed 1 entry, 2.0 MB"


def test_only_what_was_not_used_for_long_goes(run: Run, cache: Path) -> None:
    old, new = keep("a", days=31), keep("b", days=29)
    assert "removed 1 entry" in run("cache", "--clear", "--older-than", 30).out
    assert not old.exists()
    assert new.exists()


def test_days_without_clear_are_refused(run: Run, cache: Path) -> None:
    shown = run("cache", "--older-than", 30)
    assert shown.code == 2
    assert "--older-than says what --clear removes" in shown.err


def test_where_nothing_is_kept_it_says_so(run: Run, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCHORLAB_CACHE", "off")
    assert "nothing is kept, because ANCHORLAB_CACHE is 'off'" in run("cache", "--clear").out


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_folder_that_others_may_write_is_not_touched(run: Run, cache: Path) -> None:
    folder = keep("a")
    cache.chmod(stat.S_IRWXU | stat.S_IRWXO)
    assert "caution: it is not used, because" in run("cache", "--clear").out
    assert folder.exists()


def test_what_an_entry_says_cannot_steer_a_terminal(run: Run, cache: Path) -> None:
    keep("a", "photos\x1b[2J")
    assert "\x1b" not in run("cache").out


def test_a_place_where_nothing_can_lie_is_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        monkeypatch.setenv("ANCHORLAB_CACHE", str(place))
        shown = run("cache", "--clear")
        assert (shown.code, shown.out, shown.err.count("\n")) == (2, "", 1)
        assert f"the cache {place / 'kept'} cannot be used, because {tmp_path / 'file'} is a file: set " in shown.err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_place_without_permission_is_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCHORLAB_CACHE", str(tmp_path / "mine"))
    monkeypatch.setattr(os, "access", lambda place, _: place != tmp_path)
    shown = run("cache")
    assert shown.code == 2
    assert f"because you may not write to {tmp_path}: set ANCHORLAB_CACHE to a folder" in shown.err
