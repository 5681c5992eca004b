"""Somebody else's scanner as a detector of models: an outside program that looks at the files of a model.

Each model is scanned in a process of its own, from a neutral copy (``anchorlab.artifacts.neutral``), so that no word
and no date can give it away. The score stands in the JSON that the program prints, or in its exit code. A scanner that
crashes, runs out of time or prints no JSON has failed: its score is NaN and its note says why. Where its JSON lacks a
key of the score's path, the note says so, because the path may be misspelt; a list that is too short means that it
found nothing.

Many scanners end with exit code 1 when they find something, and a crash of Python's ends so too. Two things tell them
apart: a traceback on standard error, and JSON that lacks the score's place, because what was found would stand there.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass as record
from itertools import dropwhile
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from anchorlab.artifacts.neutral import write_neutral
from anchorlab.defender.context import DefenderContext, DefenderData
from anchorlab.detectors.base import ModelDetector, ModelScore, details_of
from anchorlab.errors import AnchorlabError, printable, quoted, shortened
from anchorlab.settings import STRICT, parse_pairs

#: Stands in a command for the folder of the copy.
MODEL = "{model}"

#: What the note of a failure begins with.
FAILED = "the scanner failed: "

#: What the note of a score begins with whose place the scanner's JSON does not have, by a key that is not there.
NO_PLACE = "its JSON has no "

#: Exit codes with which scanners print what they found: nothing, and something.
_ANSWERS = (0, 1)

#: Most bytes that are read of what a scanner prints.
_MOST = 64 * 2**20

#: Most lines in a row that look like the beginning of JSON and are none, until it is no longer looked for.
_BEGINS = 100

#: Most characters of what a scanner complains of.
_SHORT = 160

#: How Python begins what it says of a crash, after which it ends with exit code 1.
_TRACEBACK = "Traceback (most recent call last)"

#: Most lines of an exception and its message; where more follow a traceback, the program went on after it.
_MESSAGE = 20

#: Most bytes of the end of standard error that are read: a deep traceback is longer than a page.
_LAST = 2**16


class _FailureError(Exception):
    """The scanner gave no score; the words say why."""


@record(frozen=True)
class _Ended:
    """How a process ended.

    Attributes:
        code: its exit code; None where time ran out.
        printed: to its standard output.
        complained: the last line of its standard error.
        crashed: whether its exit code is not 0 and a traceback of Python's stands at the end of its standard error.
        seconds: how long it took.
    """

    code: int | None
    printed: bytes
    complained: str
    crashed: bool
    seconds: float


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Command(ModelDetector):
    """Runs a scanner of somebody else's on a neutral copy of the model."""

    needs_float: ClassVar[bool] = True
    takes_adapters: ClassVar[bool] = True
    min_examples: ClassVar[int] = 1

    run: str = Field(
        default="", description="the scanner's command, as a shell reads words; {model} is the folder that it scans"
    )
    score_path: str = Field(
        default="",
        description="where the score stands in the JSON that it prints, as issues.0.score; of a list its length counts",
    )
    missing: float = Field(default=0.0, description="the score where the JSON has no such place")
    exit_scores: str = Field(
        default="", description="the score of each exit code, as 0=0,1=1, in place of a score in JSON"
    )
    accuse_above: float = Field(default=0.0, description="a model with a higher score than this is accused")
    time_limit: float = Field(
        default=300.0, gt=0, description="seconds, after which the scanner is ended and has failed"
    )
    version: str = Field(default="", description="the scanner's version; a new one lets it scan again")

    def __post_init__(self) -> None:
        if not self.run:
            return
        if not any(MODEL in word for word in self._words()[1:]):
            raise AnchorlabError(
                f"the command {quoted(self.run)} does not say where the model goes: write {MODEL} in its place, as in "
                f'"scanner --json {MODEL}"'
            )
        if bool(self.score_path) == bool(self.exit_scores):
            raise AnchorlabError(
                "a scanner's score comes from its JSON or from its exit code: give one of score_path, as in "
                "issues.0.score, and exit_scores, as in 0=0,1=1"
            )
        _ = self._scores_of_codes

    def check_program(self) -> None:
        """Raises AnchorlabError if no command is given, or the program is not on this machine."""
        if not self.run:
            raise AnchorlabError(
                "the detector 'command' was given no scanner: name its command, in detect as in --set "
                f'run="scanner --json {MODEL}", and elsewhere as in --detector command:"scanner --json {MODEL}"'
            )
        program = self._words()[0]
        if shutil.which(program) is None:
            raise AnchorlabError(
                f"there is no program {shortened(program)} to scan models with: install it, or give its whole path"
            )

    def score(self, model: nn.Module, data: DefenderData, context: DefenderContext) -> ModelScore:
        """See ``ModelDetector``. A failure of the scanner is a score of NaN with a note."""
        del data, context
        self.check_program()
        with tempfile.TemporaryDirectory(prefix="scan-") as folder:
            copy = Path(folder) / "model"
            write_neutral(model, copy)
            ended = _run([word.replace(MODEL, str(copy)) for word in self._words()], self.time_limit)
        details = details_of({"exit_code": [ended.code], "seconds": [round(ended.seconds, 3)]})
        try:
            score, note = self._score_of(ended)
            return ModelScore(score, details, note)
        except _FailureError as failure:
            words = f" ({ended.complained})" if ended.complained else ""
            return ModelScore(math.nan, details, f"{FAILED}{failure}{words}")

    def _words(self) -> list[str]:
        try:
            words = shlex.split(self.run)
        except ValueError as error:
            raise AnchorlabError(
                f"the command {quoted(self.run)} cannot be read as words ({error}): close its quotation marks"
            ) from error
        return words or [""]

    @property
    def _scores_of_codes(self) -> dict[int, float]:
        """The score of each exit code."""
        pairs = parse_pairs(self.exit_scores.split(",") if self.exit_scores else [], "exit_scores")
        try:
            return {int(code): _finite(float(score)) for code, score in pairs.items()}
        except (ValueError, _FailureError) as error:
            raise AnchorlabError(
                f"exit_scores={quoted(self.exit_scores)} is not possible: give exit codes with a number each, as in "
                "0=0,1=1"
            ) from error

    def _score_of(self, ended: _Ended) -> tuple[float, str]:
        """The score, and what is to be said of it."""
        if ended.code is None:
            raise _FailureError(f"it took more than {self.time_limit:g} seconds")
        if ended.code < 0:
            names = {one.value: one.name for one in signal.Signals}
            raise _FailureError(f"it was ended by {names.get(-ended.code, 'a signal')}")
        allowed = self._scores_of_codes or dict.fromkeys(_ANSWERS, 0.0)
        if ended.code not in allowed:
            raise _FailureError(f"it ended with exit code {ended.code}")
        if ended.crashed:
            raise _FailureError(f"it ended with exit code {ended.code} after a traceback")
        if self.exit_scores:
            return allowed[ended.code], ""
        score, note = self._score_among(_values(ended.printed))
        if note and ended.code:
            raise _FailureError(f"it ended with exit code {ended.code}, and {NO_PLACE}{self.score_path}")
        return score, note

    def _score_among(self, values: list[Any]) -> tuple[float, str]:
        """As ``_score_in`` of the last value with the place of the score, because lines of a log may be JSON, too."""
        for value in reversed(values):
            score, note = self._score_in(value)
            if not note:
                return score, note
        return self._score_in(values[-1])

    def _score_in(self, value: Any) -> tuple[float, str]:
        """The number at ``score_path``; ``missing``, with a note, where a key on the way is not there.

        On the way a null is a list of nothing. In the place of the score it is none, as NaN, which JSON cannot write.
        """
        for step in self.score_path.split("."):
            if value is None or (isinstance(value, list) and step.isdecimal() and int(step) >= len(value)):
                return self.missing, ""
            if isinstance(value, dict) and step in value:
                value = value[step]
            elif isinstance(value, list) and step.isdecimal():
                value = value[int(step)]
            else:
                return self.missing, f"{NO_PLACE}{self.score_path}, so that its score is {self.missing:g}"
        if isinstance(value, list):
            return float(len(value)), ""
        if not isinstance(value, int | float):
            kind = "null" if value is None else "text" if isinstance(value, str) else "an object"
            raise _FailureError(f"{self.score_path} in its JSON is {kind} and no number")
        return _finite(value), ""


def _finite(number: float) -> float:
    try:
        value = float(number)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise _FailureError("its score is not finite")
    return value


def _values(printed: bytes) -> list[Any]:
    """Every object and list that a scanner printed as JSON: each begins a line, and nothing follows it on its last one.

    Raises:
        _FailureError: if there is none.
    """
    if len(printed) > _MOST:
        raise _FailureError(f"it printed more than {_MOST // 2**20} MiB")
    text = printed.decode(errors="replace").strip()
    values, end, tried = [], 0, 0
    for begin in (match.start() for match in re.finditer(r"^[{\[]", text, re.MULTILINE)):
        if begin < end or tried == _BEGINS:
            continue
        tried += 1
        with suppress(ValueError, RecursionError):
            value, after = json.JSONDecoder().raw_decode(text, begin)
            if not text[after:].partition("\n")[0].strip():
                values.append(value)
                end, tried = after, 0
    if not values:
        raise _FailureError("it printed no JSON")
    return values


def _ends_in_a_traceback(complaint: str) -> bool:
    """Whether standard error ends with a traceback; a scanner may have printed earlier ones of faults that it handled.

    What follows the stack is the exception and its message, which may have several lines.
    """
    _, begun, after = complaint.rpartition(_TRACEBACK)
    message = dropwhile(lambda line: not line.strip() or line.startswith(" "), after.splitlines()[1:])
    return bool(begun) and len(list(message)) <= _MESSAGE


def _run(words: list[str], time_limit: float) -> _Ended:
    """Runs a program to its end or for so long, in a process group that is ended with it.

    What it prints goes into files, because a process that it left behind would keep a pipe open.
    """
    began = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True, close_fds=True
            )
        except OSError as error:
            return _Ended(127, b"", shortened(printable(error.strerror or str(error)), _SHORT), False, 0.0)
        code: int | None = None
        try:
            code = process.wait(time_limit)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        seconds = time.monotonic() - began
        complaint = _tail(err)
        crashed = bool(code) and _ends_in_a_traceback(complaint)
        return _Ended(code, _head(out), _last_line(complaint), crashed, seconds)


def _head(file: Any) -> bytes:
    file.seek(0)
    head: bytes = file.read(_MOST + 1)
    return head


def _tail(file: Any) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST))
    tail: bytes = file.read()
    return tail.decode(errors="replace").strip()


def _last_line(complaint: str) -> str:
    """The last words of a complaint, for a note."""
    lines = complaint.splitlines()
    return shortened(printable(lines[-1].strip()), _SHORT) if lines else ""
