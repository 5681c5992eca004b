"""The one exception type for mistakes that a user can mend, what its text quotes, and the warning of changed names."""

from __future__ import annotations

import difflib
import functools
import os
import re
import shlex
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

#: Longest message, in characters; a terminal of 24 lines shows it.
SCREEN = 1200

#: Longest value of the user's that a message quotes, in characters.
QUOTED = 120

#: Longest command that a message prints, in characters: what is cut off within quotes could run anything.
_COMMAND = 700

#: Longest of several names that a message lists, in characters.
_NAME = 80

#: Most names that a message lists.
_KNOWN = 40


class AnchorlabError(Exception):
    """A mistake in what the user gave; its text says what was wrong, what was expected, what to do.

    The command line prints the text as one sentence and exits with code 2. The text is never longer than a screen and
    holds no control character, whatever was put into it.
    """

    def __str__(self) -> str:
        return shortened(printable(shortened(super().__str__(), SCREEN)), SCREEN)


class DivergenceError(AnchorlabError):
    """A loss that is not finite any more; the same settings would diverge again."""


def unknown(kind: str, name: str, registered: Iterable[str], others: str = "") -> AnchorlabError:
    """The error for a name that is not one of ``registered``, with the nearest of them as a suggestion.

    Args:
        kind: what is named, for example ``"method"``.
        name: the name as the user gave it.
        registered: all names that would have been right.
        others: what else would have been right, in words.
    """
    choices = sorted(registered)
    near = difflib.get_close_matches(name[:QUOTED], choices, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    further = f"; {others} would do too" if others else ""
    known = ", ".join(shortened(choice) for choice in choices[:_KNOWN]) or "none"
    more = f" and {len(choices) - _KNOWN:,} more" if len(choices) > _KNOWN else ""
    return AnchorlabError(f"unknown {kind} '{shortened(name)}': {hint}known are {known}{more}{further}")


def shortened(text: str, limit: int = QUOTED) -> str:
    """The text itself, or its beginning and its end with their distance between them, if it is longer than ``limit``.

    Args:
        text: what the user gave, or a message that quotes it.
        limit: largest number of characters of the result, at least 40.
    """
    if len(text) <= limit:
        return text
    left_out = f" … {len(text) - limit:,} characters … "
    end = (limit - len(left_out)) // 3
    return text[: limit - len(left_out) - end] + left_out + text[len(text) - end :]


def lacking(what: str, extra: str) -> AnchorlabError:
    """The error for something that needs an optional package which is not installed.

    Args:
        what: what needs it, for example ``"an ONNX file"``.
        extra: the name of anchorlab's extra that installs it.
    """
    return AnchorlabError(
        f"{what} needs a package that is not installed: install it with pip install 'anchorlab[{extra}]'"
    )


def is_utf8(text: str) -> bool:
    """Whether a text can be written as UTF-8; one that the command line got in another encoding cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def quoted(value: object, limit: int = QUOTED) -> str:
    """How Python writes a value, shortened; for a message that names what the user gave."""
    try:
        return shortened(repr(value), limit)
    except (ValueError, RecursionError):  # more digits than Python converts, or a value that is endless
        return f"a value of type {type(value).__name__} that is too large to show"


def some(names: Iterable[object], most: int = 3) -> str:
    """The first ``most`` names, fit for a terminal, and how many there are besides."""
    written = [shortened(printable(str(name)), _NAME) for name in names]
    more = f" and {len(written) - most:,} more" if len(written) > most else ""
    return ", ".join(written[:most]) + more


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, without a full stop or colon at its end."""
    return str(error).strip().partition("\n")[0].rstrip(".:")


def reason(error: BaseException) -> str:
    """The type of an exception and the first line of its text, for a sentence's parentheses."""
    text = first_line(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


#: Categories of characters that steer a terminal, or that no eye sees: controls, formats, surrogates, line separators.
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
#: Formats that scripts and emoji need inside a word: the zero-width non-joiner and joiner.
_JOINERS = "\u200c\u200d"


def printable(text: object) -> str:
    """What the user named, as one line that is safe on a terminal: ``\\x1b`` in place of the character.

    Escaped are control characters (line breaks and tabs too), line separators, marks that turn the direction of
    writing, and the halves of a surrogate pair, which a file name that is no UTF-8 has. Everything else, Chinese or
    emoji for example, stays as it is.

    Args:
        text: a name, a label, a path, or anything else with a text form.
    """
    words = str(text)
    if words.isprintable():
        return words
    return "".join(sign if _is_seen(sign) else sign.encode("unicode_escape").decode() for sign in words)


def _is_seen(sign: str) -> bool:
    return unicodedata.category(sign) not in _UNSEEN or sign in _JOINERS


def removal(path: Path) -> str:
    """The command that removes a file or folder."""
    words = ("rm", "-r", path) if path.is_dir() else ("rm", path)
    return command_of(*words, otherwise="rm -r PATH")


def command_of(*words: object, otherwise: str) -> str:
    """A command that a shell reads as these words, whatever is in them; ``otherwise`` where it would be too long."""
    command = " ".join(shell_word(word) for word in words)
    return command if len(command) <= _COMMAND else otherwise


def shell_word(word: object) -> str:
    """One word as bash and zsh read it, in signs that a terminal and a line of text leave as they are.

    Two spaces, line breaks, signs that steer a terminal and bytes that are no UTF-8 are written as numbers, and a path
    that begins like an option begins with ``./``.
    """
    text = str(word)
    if isinstance(word, Path) and text.startswith("-"):
        text = f"./{text}"
    if text.isprintable() and not re.search(r"  |^ | $", text):
        return shlex.quote(text)
    escaped = "".join(
        chr(byte) if 33 <= byte < 127 and chr(byte) not in "'\\" else f"\\x{byte:02x}" for byte in os.fsencode(text)
    )
    return f"$'{escaped}'"


#: What torch and numpy say when memory is not enough, beside MemoryError.
_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "Unable to allocate")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of the machine or of the GPU is not enough."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY)


def warn_renamed(former: str, present: str, *, stacklevel: int = 2) -> None:
    """Warns that a public name has changed; the former one still works for one release.

    Args:
        former: the name that was used.
        present: its name now.
        stacklevel: as for ``warnings.warn``, counted from the caller of this function.
    """
    message = f"{former} is now called {present}; the former name goes with the next release"
    warnings.warn(message, DeprecationWarning, stacklevel=stacklevel + 1)


def renamed_keywords(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator by which a function still takes keywords by their former names, with a DeprecationWarning.

    Args:
        names: former keyword to present one.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def wrapper(*args: P.args, **options: P.kwargs) -> R:
            for former, present in names.items():
                if former in options:
                    warn_renamed(f"{function.__name__}({former}=)", f"{present}=")
                    options[present] = options.pop(former)
            return function(*args, **options)

        return wrapper

    return decorate


class RenamedAttributes:
    """Mixin of a family's base class: a subclass may still declare class attributes by their former names.

    Each gets its present name too, with a DeprecationWarning, so that classes of third parties work for one more
    release. A hyper-parameter that happens to have such a name is left alone.
    """

    #: Former name to present name.
    renamed_attributes: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = vars(cls)
        for former, present in cls.renamed_attributes.items():
            annotation = own.get("__annotations__", {}).get(former, "ClassVar")
            if former in own and "ClassVar" in str(annotation):
                warn_renamed(f"{cls.__qualname__}.{former}", present)
                if present not in own:
                    setattr(cls, present, own[former])
