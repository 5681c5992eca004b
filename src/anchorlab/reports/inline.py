"""Figures inside a page: drawn for a screen and once more for a phone, in the colours of the page's scheme."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from markupsafe import Markup, escape

from anchorlab.reports.drawing import NARROW, WIDE, Sheet
from anchorlab.reports.looks import INK, on_a_page

#: Draws a figure as the files of a stem, on a sheet.
Draw = Callable[[Path, Sheet], None]

_LEFT_OUT = re.compile(r"<metadata>.*?</metadata>|<style type=\"text/css\">.*?</style>", re.DOTALL)
#: Nothing refers to the ids of groups, and they are many.
_GROUPS = re.compile(r'<g id="[^"]*"')
_IDS = re.compile(r'(\bid="|href="#|url\(#)')
_FONT = re.compile(r"font-family: ([^;\"]*);? ?")
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
#: What lies between tags is words, among them the user's, which stay as they are.
_TAG = re.compile(r"<[^>]*>")


def drawn(draw: Draw, stem: Path, words: str) -> Markup:
    """Writes the files of a figure, and returns it as an element of a page, with another layout for phones.

    Args:
        draw: draws it.
        stem: the files to write, less their endings.
        words: what it shows, for those who do not see it.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    draw(stem, WIDE)
    wide = inline_svg(stem.with_name(f"{stem.name}.svg").read_text(encoding="utf-8"), f"w-{stem.name}", words)
    with TemporaryDirectory() as folder:
        draw(Path(folder) / "narrow", NARROW)
        narrow = inline_svg((Path(folder) / "narrow.svg").read_text(encoding="utf-8"), f"n-{stem.name}", words)
    return Markup('<div class="drawn wide">{}</div><div class="drawn narrow">{}</div>').format(wide, narrow)


def inline_svg(text: str, name: str, words: str) -> Markup:
    """An SVG file of ours as an element of a page: ids of its own, and colours that follow the page's scheme.

    Args:
        text: the file.
        name: of the figure in its page; its ids begin with a hash of it.
        words: what it shows.
    """
    variables = on_a_page()
    inner = _LEFT_OUT.sub("", text[text.index("<svg") :])
    mark = hashlib.sha256(name.encode()).hexdigest()[:6]
    fonts = next((found for tag in _TAG.findall(inner) if (found := _FONT.search(tag))), None)
    family = f" font-family: {fonts[1]};" if fonts else ""  # said once, because every word repeats it

    def own(tag: re.Match[str]) -> str:
        text = _IDS.sub(lambda found: f"{found[1]}f{mark}-", _GROUPS.sub("<g", tag[0]))
        return _COLOUR.sub(lambda found: variables.get(found[0], found[0]), _FONT.sub("", text))

    inner = _TAG.sub(own, inner)
    # Black is what an SVG file fills with where it says nothing.
    style = f"fill: {variables[INK]};{family} stroke-linejoin: round; stroke-linecap: butt"
    label = f'<svg role="img" aria-label="{escape(words)}" style="{style}"'
    # The files come from drawing.py, which escapes every name in them.
    return Markup(inner.replace("<svg", label, 1))
