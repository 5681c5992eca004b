"""Entries are whole or not there, are mapped, and nobody writes through them."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from anchorlab.cache import store, upkeep
from anchorlab.notices import Notice

KEY = "ab" * 32
ARRAYS = {"pixels": (np.arange(600) % 251).astype(np.uint8).reshape(2, 3, 10, 10)}


def kept(key: str = KEY, arrays: dict[str, np.ndarray] | None = None) -> store.Entry | None:
    return store.keep("data", key, arrays or ARRAYS, {"classes": ["a"]}, what="two images", source="here")


@pytest.fixture
def folder(cache: Path) -> Path:
    assert kept() is not None
    return cache / "data" / KEY


def test_an_entry_comes_back_as_it_was_written(folder: Path) -> None:
    entry = store.find("data", KEY)
    assert entry is not None
    assert entry.value == {"classes": ["a"]}
    np.testing.assert_array_equal(entry.arrays["pixels"], ARRAYS["pixels"])


def test_there_is_nothing_under_another_name(folder: Path) -> None:
    assert store.find("data", "cd" * 32) is None
    assert store.find("tokens", KEY) is None


def test_an_empty_array_is_kept_too(cache: Path) -> None:
    entry = kept(arrays={**ARRAYS, "none": np.empty((0,), np.int64)})
    assert entry is not None
    assert entry.arrays["none"].shape == (0,)


@pytest.mark.filterwarnings("error")
def test_a_tensor_of_it_is_mapped_and_a_change_stays_in_this_process(folder: Path) -> None:
    entry = store.find("data", KEY)
    assert entry is not None
    assert isinstance(entry.arrays["pixels"].base, np.memmap)
    tensor = torch.from_numpy(entry.arrays["pixels"])
    tensor.fill_(255)
    again = store.find("data", KEY)
    assert again is not None
    np.testing.assert_array_equal(again.arrays["pixels"], ARRAYS["pixels"])


def test_the_folder_is_for_its_owner_alone(folder: Path, cache: Path) -> None:
    assert cache.stat().st_mode & 0o777 == 0o700


def test_small_arrays_are_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LEAST", 601)
    assert kept() is None
    assert not cache.exists()


def test_arrays_above_the_limit_are_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCHORLAB_CACHE_LIMIT", "0.0000001")
    assert kept() is None
    assert list(upkeep.entries()) == []


def cut_short(folder: Path) -> None:
    os.truncate(folder / "pixels.npy", 300)


def overwritten(folder: Path) -> None:
    """The same length and the same time of writing, as a tool could leave it."""
    path = folder / "pixels.npy"
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def of_another_type(folder: Path) -> None:
    np.save(folder / "pixels.npy", ARRAYS["pixels"].view(np.int8))


def pickled(folder: Path) -> None:
    np.save(folder / "pixels.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


def linked(folder: Path) -> None:
    moved = (folder / "pixels.npy").rename(folder.parent.parent / "elsewhere.npy")
    (folder / "pixels.npy").symlink_to(moved)


def missing(folder: Path) -> None:
    (folder / "pixels.npy").unlink()


def without_words(folder: Path) -> None:
    (folder / "about.json").unlink()


def half_words(folder: Path) -> None:
    (folder / "about.json").write_text('{"form": 1, "kind"')


def other_words(folder: Path) -> None:
    (folder / "about.json").write_text("[]")


def another_shape(folder: Path) -> None:
    about = json.loads((folder / "about.json").read_text())
    about["arrays"]["pixels"]["shape"] = [1, 600]
    (folder / "about.json").write_text(json.dumps(about))


def another_key(folder: Path) -> None:
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps(about | {"key": "cd" * 32}))


def another_class(folder: Path) -> None:
    """As a disk that flips a bit: what is said is of the right kind, and wrong."""
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps(about | {"value": {"classes": ["b"]}}))


DAMAGES = [
    *(cut_short, overwritten, of_another_type, pickled, linked, missing),
    *(without_words, half_words, other_words, another_shape, another_key, another_class),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_removed_with_a_line_and_made_again(folder: Path, damage, nothing_runs: Path) -> None:
    damage(folder)
    with pytest.warns(Notice, match="was damaged"):
        assert store.find("data", KEY) is None
    assert not folder.exists()
    assert kept() is not None


def test_a_copied_cache_is_known_by_its_hashes(folder: Path, cache: Path) -> None:
    """Inodes and times differ, and nothing is wrong."""
    shutil.copytree(cache, cache.parent / "copy")
    shutil.rmtree(cache)
    (cache.parent / "copy").rename(cache)
    cache.chmod(0o700)
    entry = store.find("data", KEY)
    assert entry is not None
    np.testing.assert_array_equal(entry.arrays["pixels"], ARRAYS["pixels"])


def test_an_entry_that_was_written_meanwhile_is_taken(folder: Path) -> None:
    assert kept() is not None


def test_many_writers_and_readers_see_whole_entries_alone(cache: Path) -> None:
    """Each of three processes writes the same entry, reads it and damages nothing; all begin at one event."""
    code = (
        "import sys; from tests.cache.test_store import *; store.LEAST = 1; print('ready', flush=True); "
        "sys.stdin.readline()\n"
        "for _ in range(10):\n"
        "    entry = kept()\n"
        "    assert entry is None or (entry.arrays['pixels'] == ARRAYS['pixels']).all()\n"
        "    upkeep.clear()\n"
        "print('done')"
    )
    root = Path(__file__).parents[2]
    others = [
        subprocess.Popen(
            [sys.executable, "-W", "error::anchorlab.notices.Notice", "-c", code],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root,
            env=os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}"},
        )
        for _ in range(3)
    ]  # fmt: skip
    for process in others:
        assert process.stdout.readline() == "ready\n"
    for process in others:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in others:
        assert process.communicate()[0] == "done\n"
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_written_is_said_and_is_no_matter(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.warns(Notice, match="it is read-only"):
        assert kept("cd" * 32) is None
    assert store.find("data", KEY) is not None


def test_files_are_those_of_numpy(tmp_path: Path) -> None:
    for array in (np.arange(6, dtype=np.int32).reshape(2, 3), np.zeros((0, 3), bool), np.array(True)):
        np.save(tmp_path / "numpy.npy", array)
        with (tmp_path / "ours.npy").open("wb") as file:
            store._save(file, array)
        assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_write_says_that_the_disk_is_full() -> None:
    """Numpy's own says how many bytes it wrote, and no reason."""
    with Path("/dev/full").open("wb", buffering=0) as file, pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        store._save(file, np.zeros(2**20, np.uint8))


def test_a_full_disk_is_said_once_and_is_no_matter(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(Notice, match=r"the disk is full.*ANCHORLAB_CACHE"):
        assert kept() is None
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_where_the_home_cannot_be_made_nothing_is_kept(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ANCHORLAB_CACHE", str(tmp_path / "file"))
    with pytest.warns(Notice, match="nothing can be kept"):
        assert kept() is None
    assert store.find("data", KEY) is None


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_what_others_may_write_is_not_read(folder: Path, cache: Path) -> None:
    cache.chmod(0o777)
    assert store.find("data", KEY) is None
    with pytest.warns(Notice, match="others may write to it"):
        assert kept() is None


def test_a_link_in_place_of_the_folder_is_not_followed(cache: Path, tmp_path: Path) -> None:
    cache.parent.mkdir()
    (tmp_path / "elsewhere").mkdir()
    cache.symlink_to(tmp_path / "elsewhere")
    with pytest.warns(Notice, match="it is a link"):
        assert kept() is None
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_nothing_is_kept_where_the_user_wants_none(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCHORLAB_CACHE", "off")
    assert kept() is None
    assert store.find("data", KEY) is None
