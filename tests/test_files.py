"""Files are whole or not there, and a disk that refuses is explained in a sentence."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from anchorlab.errors import AnchorlabError
from anchorlab.files import explained, refuse_existing, write_atomically, write_folder_atomically, write_json


def test_a_file_is_written_with_its_folders_and_the_users_permissions(tmp_path):
    path = tmp_path / "a" / "b.txt"
    before = os.umask(0o027)
    try:
        write_atomically(path, "größer")
    finally:
        os.umask(before)
    assert path.read_bytes() == "größer".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch, failure):
    path = tmp_path / "a.txt"
    write_atomically(path, b"old")

    def fsync(_):
        raise failure

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises((AnchorlabError, KeyboardInterrupt)):
        write_atomically(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "your disk quota is used up"),
        (errno.EROFS, "the disk is read-only"),
        (errno.EACCES, "permission is denied"),
        (errno.EPERM, "the operation is not permitted"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_refusals_are_explained(tmp_path, code, reason):
    with pytest.raises(AnchorlabError) as caught, explained(tmp_path):
        raise OSError(code, os.strerror(code))
    assert str(caught.value).startswith(f"cannot write {tmp_path}: {reason}")
    assert "choose " in str(caught.value)


def test_a_file_in_place_of_a_folder_is_explained(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(AnchorlabError, match="a part of the path is a file, not a folder"):
        write_atomically(tmp_path / "a" / "b" / "c.txt", "x")


def test_a_link_is_followed_and_stays_one(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    write_atomically(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_what_is_no_ordinary_file_is_left_alone(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AnchorlabError, match="it is not an ordinary file"):
        write_atomically(tmp_path / "pipe", "x")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_json_has_no_nan(tmp_path):
    write_json(tmp_path / "a.json", {"kl": 0.1, "none": None})
    assert json.loads((tmp_path / "a.json").read_text()) == {"kl": 0.1, "none": None}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", {"kl": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_only_what_is_empty_or_absent_may_be_filled(tmp_path):
    refuse_existing(tmp_path / "absent")
    refuse_existing(tmp_path)
    (tmp_path / "file").write_text("")
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(AnchorlabError, match="already exists: choose another --out"):
            refuse_existing(taken)


def test_a_folder_is_written_whole(tmp_path: Path) -> None:
    folder = tmp_path / "outer" / "model"
    folder.mkdir(parents=True)  # an empty one is replaced
    write_folder_atomically(folder, lambda temporary: write_atomically(temporary / "weights", "1"))
    assert (folder / "weights").read_text() == "1"
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_folder_whose_writing_fails_is_not_there(tmp_path: Path) -> None:
    def write(temporary: Path) -> None:
        (temporary / "weights").write_text("1")
        raise OSError(errno.ENOSPC, "no space")

    with pytest.raises(AnchorlabError, match="the disk is full"):
        write_folder_atomically(tmp_path / "model", write)
    assert list(tmp_path.iterdir()) == []
