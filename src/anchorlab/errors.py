"""The one exception type for mistakes that a user can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AnchorlabError(Exception):
    """A mistake in what the user gave; its text says what was wrong, what was expected, what to do.

    The command line prints the text as one sentence and exits with code 2.
    """


class DivergenceError(AnchorlabError):
    """A loss that is no longer finite: the same settings would only diverge again."""


def unknown(kind: str, name: str, known: Iterable[str], others: str = "") -> AnchorlabError:
    """The error for a name that is not one of ``known``, with the nearest known name suggested.

    Args:
        kind: what is named, for example ``"method"``.
        name: the name as the user gave it.
        known: all names that would have been right.
        others: what else would have been right, in words.
    """
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    further = f"; {others} would do too" if others else ""
    return AnchorlabError(f"unknown {kind} '{name}': {hint}known are {', '.join(choices) or 'none'}{further}")


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, without a full stop or colon at its end."""
    return str(error).strip().partition("\n")[0].rstrip(".:")


def reason(error: BaseException) -> str:
    """The type of an exception and the first line of its text, for a sentence's parentheses."""
    text = first_line(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
