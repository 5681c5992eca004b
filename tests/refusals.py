"""What a refusal must be, in Python and on the command line: one sentence that names what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import pytest

from anchorlab import AnchorlabError

#: The lines that say what was read of data of the user's own, and how far work came that took longer than a second.
_READING = re.compile(
    r".+: .*(texts|images); \d+ class|splits without some classes: |note: texts are read from the column "
    r"|.+: \d+% \(\d[\d,]* of "
)


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def refused(message: str, function: Callable[..., object], *arguments: object, **options: object) -> None:
    """A call is refused in one sentence, which the pattern ``message`` finds."""
    with pytest.raises(AnchorlabError, match=message) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)


def assert_refused(ended: Ended, *names: object) -> None:
    """A command was refused in one sentence, which contains all names; else it said at most what it had read."""
    assert (ended.code, ended.out) == (2, "")
    *before, sentence = ended.err.splitlines()
    assert all(map(_READING.match, before)), before
    assert sentence.startswith("error: ")
    assert "Traceback" not in ended.err
    for name in names:
        assert str(name) in ended.err
