"""What a refusal must be, in Python and on the command line: one sentence that names what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from anchorlab import AnchorlabError


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
    """A command was refused in one sentence, which contains all names; nothing else was printed."""
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert "Traceback" not in ended.err
    for name in names:
        assert str(name) in ended.err
