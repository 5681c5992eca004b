"""Files of a report inside its page, so that a page that is mailed has no dead link."""

from __future__ import annotations

import base64
from pathlib import Path

from markupsafe import Markup

#: Larger files are named with their place and not put into the page, bytes.
LARGEST = 45_000

_KINDS = {"csv": "text/csv", "tex": "application/x-tex", "svg": "image/svg+xml", "json": "application/json"}


def attached(out: Path, file: str, words: str, what: str = "") -> Markup:
    """A link that saves a file beside the page, whose content it holds; or the place of a file that is too large.

    Args:
        out: the folder of the page.
        file: its path below the folder, with slashes.
        words: the text of the link.
        what: said instead of the words to those who do not see them.
    """
    path, kind = out / file, file.rpartition(".")[2]
    if kind not in _KINDS or not path.is_file() or path.stat().st_size > LARGEST:
        return Markup('<span class="place">{}</span>').format(file)
    content = base64.b64encode(path.read_bytes()).decode()
    link = Markup('<a href="data:{};base64,{}" download="{}" aria-label="{}">{}</a>')
    return link.format(_KINDS[kind], content, path.name, what or words, words)
