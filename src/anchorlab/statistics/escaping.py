"""Words of the user's on their way into a page, Markdown, XML or a figure: there they are words and nothing else.

A class, a file, a method's label or a title may be called anything. Each writer passes what it writes through one of
these functions, so that no name makes an element, a link, a formula or a command. `anchorlab.statistics.latex` and
`anchorlab.statistics.comma_separated` do the same for LaTeX and CSV, and `anchorlab.errors.printable` for terminals.
"""

from __future__ import annotations

import re
from html import escape

from anchorlab.errors import printable

#: Signs that Markdown's dialects read as markup somewhere; as entities all of them show the sign itself.
_MARKDOWN = re.compile(
    r"""[&<>|$~^\\`*\[\]{#@]           # anywhere
    | (?<![^\W_])_ | _(?![^\W_])      # emphasis; inside a word it is none
    | (?<==)= | =(?==)               # a highlight
    | :(?=//) | :(?=[\w+-]+:)        # a link, and a short code such as :smile:
    | (?<=www)\.                     # a link too
    | ^\s*(?:[-+=]+|\d+[.)])(?=\s|$) # a list or a rule, at the beginning
    """,
    re.VERBOSE | re.IGNORECASE,
)

#: What no document of XML 1.0 may hold, beside control characters.
_NOT_IN_XML = re.compile("[\ufffe\uffff]")


def visible(text: object) -> str:
    """A text of several lines without characters that steer what shows it; see `anchorlab.errors.printable`.

    Line breaks and tabs stay.
    """
    words = str(text)
    if words.isprintable():
        return words
    lines = words.replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(printable(part) for part in line.split("\t")) for line in lines)


def html(text: object) -> str:
    """A text inside an element or an attribute of an HTML page, with either sort of quotes."""
    return escape(visible(text))


def markdown(text: object) -> str:
    """A text inside a line of Markdown: a heading, a sentence, a cell of a table. Line breaks become ``\\\\n``.

    Signs become entities and not escapes with a backslash, because dialects differ in what a backslash escapes.
    """
    return _MARKDOWN.sub(lambda found: "".join(map(_entity, found.group())), printable(text))


def _entity(sign: str) -> str:
    if sign.isalnum() or sign.isspace():
        return sign
    return {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(sign, f"&#{ord(sign)};")


def xml(text: object) -> str:
    """A text of an element or an attribute of XML 1.0, which has no sign for most control characters. Lines stay.

    Whoever builds the document escapes its brackets and quotes, as ``xml.etree`` does.
    """
    return _NOT_IN_XML.sub(lambda found: found.group().encode("unicode_escape").decode(), visible(text))


def plotted(text: object) -> str:
    """A text in a figure of matplotlib, where two dollar signs would begin and end a formula. Line breaks stay."""
    return visible(text).replace("$", r"\$")
