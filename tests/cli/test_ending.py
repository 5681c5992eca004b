"""How commands end: memory that is not enough, streams that are closed or not UTF-8, output that nobody reads."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from anchorlab.cli.ending import ending
from anchorlab.errors import SCREEN, AnchorlabError
from tests.cli.conftest import PROGRAM, Run


@pytest.mark.parametrize(
    ("error", "code", "beginning"),
    [
        (AnchorlabError("a is wrong"), 2, "error: a is wrong"),
        (MemoryError(), 2, "error: the memory is not enough (out of memory): give smaller numbers"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 2, "error: the memory is not enough (Default"),
        (PermissionError(errno.EACCES, "Permission denied", "/secret"), 2, "error: /secret: Permission denied"),
        (ZeroDivisionError("one\nby zero"), 70, "internal error: ZeroDivisionError: one by zero; --debug shows where"),
    ],
)
def test_an_exception_becomes_one_sentence(error: Exception, code: int, beginning: str) -> None:
    ended = ending(error)
    assert ended[0] == code
    assert ended[1].startswith(beginning)


def test_a_sentence_is_no_longer_than_a_screen_and_steers_no_terminal() -> None:
    code, text = ending(ValueError("\x1b[31m" + "x" * 10**6))
    assert code == 70
    assert len(text) == SCREEN
    assert text.isprintable()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("trian",), "No such command 'trian'. Did you mean 'train'?: 'anchorlab --help' shows what is possible"),
        (("train", "--out"), "Option '--out' requires an argument: 'anchorlab --help' shows what is possible"),
        (("train",), "Missing option '--out': 'anchorlab train --help' shows what is possible"),
        (("train", "--out", "", "--seed", 1), "a path is empty: give the name of a file or folder"),
        (("list", "--seed", -1), "--seed -1 is not possible: give a whole number from 0 to 9223372036854775807"),
    ],
    ids=str,
)
def test_a_mistake_on_the_line_is_told_in_one_sentence(run: Run, arguments: tuple[object, ...], sentence: str) -> None:
    ended = run(*arguments)
    assert (ended.code, ended.out, ended.err) == (2, "", f"error: {sentence}\n")


def test_a_group_without_a_command_shows_its_help(run: Run) -> None:
    for arguments in ((), ("suite",)):
        ended = run(*arguments)
        assert ended.code == 2
        assert "Usage: anchorlab" in ended.err
        assert ended.err.count("\n") > 5


def program(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A shell script in which ``"$@"`` is the program."""
    return subprocess.run(
        ["sh", "-c", script, "sh", *PROGRAM],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize(
    ("script", "code"),
    [
        ('"$@" --help >&-', 0),
        ('"$@" list training >&- <&-', 0),
        ('"$@" trian >&- 2>&- <&-', 2),
        ('{ "$@" list; echo $? >&2; } | true', 0),
    ],
)
def test_streams_that_are_closed_give_no_traceback(script: str, code: int) -> None:
    ended = program(script)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr in ("", "0\n", "141\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii", "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"TERM": "nonsense", "COLUMNS": "-3", "LINES": "many"},
        {"COLUMNS": "0", "NO_COLOR": "", "FORCE_COLOR": "yes"},
        {"COLUMNS": "9" * 30},
        {"CUDA_VISIBLE_DEVICES": "nonsense", "ACCELERATE_USE_CPU": "maybe"},
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_an_odd_environment_gives_no_traceback(environment: dict[str, str]) -> None:
    for line in ('"$@" list models', '"$@" list methods', '"$@" train ×é漢 --out a'):
        ended = program(line, **environment)
        assert ended.returncode in (0, 2)
        assert "Traceback" not in ended.stderr
        assert "internal error" not in ended.stderr
