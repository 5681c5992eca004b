"""Files are whole or not there, and a disk that refuses is explained in a sentence."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from anchorlab.errors import AnchorlabError
from anchorlab.files import (
    check_folder,
    check_writable,
    explained,
    folder_beside,
    input_file,
    input_folder,
    read_json,
    refuse_existing,
    sweep,
    user_path,
    write_atomically,
    write_folder_atomically,
    write_json,
    written_atomically,
)
from tests.refusals import refused


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


def test_the_home_of_a_user_is_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/a") == tmp_path / "a"
    assert user_path(Path("b")) == Path("b")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "a path is empty: give the name"),
        ("a\0b", r"the path 'a\\x00b' is not UTF-8 text without zero bytes: rename"),
        (os.fsdecode(b"caf\xe9"), "is not UTF-8 text without zero bytes: rename"),
        ("~nobody-of-this-name/a", "begins with ~ and the name of no user of this machine: write the path out"),
    ],
)
def test_what_no_path_can_be_is_refused(given: str, message: str) -> None:
    refused(message, user_path, given)


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with something of each kind."""
    (tmp_path / "file").write_text("{}")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    return tmp_path


_NEITHER = {
    "nothing": "there is no",
    "file/below": "there is no",
    "dangling": "there is no",
    "pipe": "is a pipe or a device, not a",
    "device": "is a pipe or a device, not a",
    "loop": "cannot be followed",
    "x" * 300: "cannot be followed",
}


@pytest.mark.parametrize("name", _NEITHER, ids=lambda name: name[:20])
def test_what_is_no_file_and_no_folder_is_not_read(odd: Path, name: str) -> None:
    for read in (input_file, input_folder, read_json):
        refused(_NEITHER[name], read, odd / name, "give another")


def test_a_folder_is_no_file_and_a_file_no_folder(odd: Path) -> None:
    assert input_file(odd / "file", "give another") == odd / "file"
    assert input_folder(odd / "folder", "give another") == odd / "folder"
    refused("folder is a folder, not a file: give another", input_file, odd / "folder", "give another")
    refused("file is a file, not a folder: give another", input_folder, odd / "file", "give another")
    refused(r"(pipe|device) is a pipe or a device, not a file: remove it", input_folder, odd, "give another")


def test_what_this_user_may_not_read_is_refused(odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_arguments: False)
    refused("cannot be read, because permission is denied", input_file, odd / "file", "give another")
    refused("permission is denied: choose a place", check_writable, odd / "new")


def test_a_place_to_write_is_checked_before_the_work(odd: Path) -> None:
    for name in ("new", "file", "dangling", "new/below"):
        check_writable(odd / name)
    for name in ("new", "folder", "folder/new"):
        check_folder(odd / name)
    for name in ("folder", "pipe", "device"):
        refused("it is not an ordinary file: choose", check_writable, odd / name)
    for name in ("file", "pipe", "device"):
        refused("it is not a folder: choose|already exists", check_folder, odd / name)
        refused("already exists: choose", refuse_existing, odd / name)
    for check in (check_writable, check_folder, refuse_existing):
        refused("a part of the path is a file, not a folder", check, odd / "file" / "new")
        refused("cannot be followed", check, odd / "loop")


@pytest.mark.parametrize("name", [".", "/", ".."])
def test_a_new_folder_needs_a_name(name: str) -> None:
    refused("is not the name of a new folder: give --out a name", refuse_existing, Path(name))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as JSON"),
        (b'{"a": 1', "cannot be read as JSON"),
        (b"\xff\xfe\x00", "cannot be read as JSON"),
        (b'{"a": NaN}', "NaN is not a number of JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "cannot be read as JSON"),
        (b"[" * 100_000, "cannot be read as JSON"),
        (b"[1, 2]", r"holds \[1, 2\], but an object of JSON was expected"),
        (b"null", "holds None, but an object of JSON was expected"),
    ],
)
def test_damaged_json_is_refused_with_its_file_and_the_remedy(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    refused(rf"a\.json {message}|{message}.*: delete it$", read_json, path, "delete it")


def test_json_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": Infinity, "b": [1]}')
    assert read_json(path, "delete it", nan=True) == {"a": float("inf"), "b": [1]}


def test_a_folder_is_replaced_once_the_new_one_is_whole(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "old.txt").write_text("old")

    def fails(_temporary):
        raise AnchorlabError("no")

    with pytest.raises(AnchorlabError):
        write_folder_atomically(folder, fails, replace=True)
    assert [path.name for path in folder.iterdir()] == ["old.txt"]
    write_folder_atomically(folder, lambda temporary: (temporary / "new.txt").touch(), replace=True)
    assert [path.name for path in folder.iterdir()] == ["new.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_is_told_with_the_users_own_path(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AnchorlabError) as caught:
        write_folder_atomically(tmp_path / "out", lambda temporary: write_atomically(temporary / "a.txt", "x"))
    assert str(caught.value).startswith(f"cannot write {tmp_path / 'out' / 'a.txt'}: the disk is full")


_WRITER = """
import sys, time
from pathlib import Path
from anchorlab.files import write_folder_atomically, write_atomically
def write(temporary):
    write_atomically(temporary / "a.txt", "x")
    print("written", flush=True)
    sys.stdin.read()
write_folder_atomically(Path(sys.argv[1]), write)
"""


def test_what_a_killed_process_was_writing_is_swept_up_and_what_a_living_one_writes_stays(tmp_path):
    def temporaries():
        return [path.name for path in tmp_path.glob(".out.*.tmp")]

    (tmp_path / ".out.mine.tmp").touch()  # not of our pattern
    command = [sys.executable, "-c", _WRITER, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"written\n"
        assert len(temporaries()) == 2
        sweep(tmp_path, "out")
        assert len(temporaries()) == 2
        process.kill()
        process.wait()
        assert len(temporaries()) == 2
        sweep(tmp_path, "other")
        assert len(temporaries()) == 2
        refuse_existing(tmp_path / "out")
        assert temporaries() == [".out.mine.tmp"]


def test_what_is_written_piece_by_piece_stays_whoever_sweeps(tmp_path):
    with written_atomically(tmp_path / "out") as file:
        file.write(b"some ")
        check_folder(tmp_path)
        check_writable(tmp_path / "out")
        file.write(b"bytes")
        assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_bytes() == b"some bytes"


def test_a_folder_beside_a_file_stays_whoever_sweeps_and_goes_at_the_end(tmp_path):
    with folder_beside(tmp_path / "out") as folder:
        check_writable(tmp_path / "out")
        check_folder(tmp_path)
        (folder / "part").write_text("kept")
        assert [folder] == [*tmp_path.iterdir()]
    assert not [*tmp_path.iterdir()]


def test_what_is_written_piece_by_piece_is_never_half_there(tmp_path):
    def pieces():
        yield b"some "
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), written_atomically(tmp_path / "out") as file:
        file.writelines(pieces())
    assert not [*tmp_path.iterdir()]


def test_a_file_is_held_until_it_has_its_place(tmp_path, monkeypatch):
    replace = Path.replace

    def swept(path, target):
        check_folder(tmp_path)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", swept)
    write_atomically(tmp_path / "out", "whole")
    assert (tmp_path / "out").read_text() == "whole"


@pytest.mark.parametrize("check", [lambda folder: check_writable(folder / "a.json"), check_folder])
def test_checks_of_outputs_sweep_up(tmp_path, check):
    (tmp_path / ".a.json.abcd_123.tmp").write_text("half")
    (tmp_path / ".a.json.txt").touch()
    check(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".a.json.txt"]
