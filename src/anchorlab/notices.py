"""Notices: what anchorlab did about something that the user may want to know, in one sentence, while work goes on."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import TextIO

from anchorlab.errors import SCREEN, printable, shortened


class Notice(UserWarning):
    """A sentence for the user about what was found and done; nothing is wrong with the result."""


def notice(sentence: str) -> None:
    """Tells the user something; the same sentence once in a process."""
    warnings.warn(shortened(printable(sentence), SCREEN), Notice, stacklevel=2)


#: Loggers of libraries that warn on import of what no command here uses: parts of torchao for other machines.
_CHATTY = ("torchao", "torch.utils._pytree")


def quiet_imports() -> None:
    """From now on, torchao, which transformers imports where it is installed, warns of nothing while it is imported."""
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)


def show_notices() -> None:
    """From now on notices are single lines on the error stream, as a command shows them."""
    usual = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, Notice):
            print(f"note: {message}", file=sys.stderr if file is None else file, flush=True)
        else:
            usual(message, category, filename, lineno, file, line)

    warnings.simplefilter("default", Notice)
    warnings.showwarning = show
