"""Errors: the nearest name is suggested, and exceptions become parts of a sentence."""

from __future__ import annotations

import pytest

from anchorlab.errors import AnchorlabError, first_line, reason, unknown


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    error = unknown("method", "anchring", ["plain", "anchoring"])
    assert isinstance(error, AnchorlabError)
    assert str(error) == "unknown method 'anchring': did you mean 'anchoring'? known are anchoring, plain"


def test_an_unknown_name_that_is_near_to_none() -> None:
    assert (
        str(unknown("task", "xyz", ["digits"], "a file")) == "unknown task 'xyz': known are digits; a file would do too"
    )
    assert str(unknown("task", "xyz", [])) == "unknown task 'xyz': known are none"


@pytest.mark.parametrize(
    ("text", "line", "with_type"),
    [
        ("no such file.\nfurther advice", "no such file", "ValueError: no such file"),
        ("\n  two words: \n", "two words", "ValueError: two words"),
        ("", "", "ValueError"),
    ],
)
def test_the_first_line_of_an_exception(text: str, line: str, with_type: str) -> None:
    assert first_line(ValueError(text)) == line
    assert reason(ValueError(text)) == with_type
