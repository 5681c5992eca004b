"""Notices: one line on the error stream of a command, a warning in Python."""

from __future__ import annotations

import warnings

import pytest

from anchorlab.notices import Notice, notice, show_notices


def test_a_notice_is_one_line_and_each_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        show_notices()
        for _ in range(2):
            notice("the file a\nb is damaged")
        warnings.warn("of a library", stacklevel=1)
    assert capsys.readouterr() == ("", "note: the file a\\nb is damaged\n")


def test_in_python_it_is_a_warning() -> None:
    with pytest.warns(Notice, match="begins again"):
        notice("it begins again")
