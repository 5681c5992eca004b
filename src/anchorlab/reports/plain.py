"""A plain page: findings in words, and then sections of words, tables, pictures and code. It needs no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from anchorlab.artifacts.provenance import versions
from anchorlab.files import write_atomically
from anchorlab.reports.html import PAGE, environment, style_sheet
from anchorlab.statistics.table import Table


@dataclass(frozen=True)
class ShownInput:
    """An input with words about it.

    Attributes:
        words: a line each.
        uri: of its picture; empty for a text.
        text: of the input; empty for an image.
    """

    words: Sequence[str]
    uri: str = ""
    text: str = ""


@dataclass(frozen=True)
class PlainSection:
    """A part of a plain page.

    Attributes:
        title: its heading.
        words: paragraphs.
        tables: below the words.
        pictures: caption and URI of each.
        inputs: inputs with words about them.
        code: what a reader can copy.
        parts: further elements, such as figures, whose words are escaped already; they stand before the tables.
    """

    title: str
    words: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[tuple[str, str]] = ()
    inputs: Sequence[ShownInput] = ()
    code: Sequence[str] = ()
    parts: Sequence[Markup] = ()


@dataclass(frozen=True)
class PlainPage:
    """A page of one thing.

    Attributes:
        kind: what it is a page of, in a word or two, above the title.
        title: its heading.
        findings: what a reader wants to know first, a sentence each.
        sections: everything else.
        caution: what must not be done with the thing; empty for nothing.
        style: a further style sheet, which its parts need.
    """

    kind: str
    title: str
    findings: Sequence[str]
    sections: Sequence[PlainSection]
    caution: str = ""
    style: Markup | str = ""


def write_plain(page: PlainPage, out: Path) -> Path:
    """Writes ``index.html`` to a folder, and returns its path.

    Raises:
        AnchorlabError: if it cannot be written.
    """
    template = environment().get_template("plain.html")
    text = template.render(page=page, css=style_sheet(), version=versions()["anchorlab"])
    path = out / PAGE
    write_atomically(path, text)
    return path
