"""How wide words are in a figure, so that titles and notes are broken into lines and nothing is cut off."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, get_font

#: Room between what was measured and what is taken, because kerning and other fonts differ.
_ROOM = 1.04


def width_of(text: str, points: float, *, bold: bool = False) -> float:
    """The width of one line in inches.

    Args:
        text: without line breaks.
        points: the size of the font.
        bold: whether it is bold.
    """
    return sum(_advance(sign, bold) for sign in text) * points / 72 * _ROOM


def widest(texts: Iterable[str], points: float) -> float:
    """The width of the widest line of several texts, inches; 0 for none."""
    return max((width_of(line, points) for text in texts for line in text.split("\n")), default=0.0)


def in_lines(text: str, width: float, points: float, *, bold: bool = False) -> str:
    """A text with line breaks, so that no line is wider than ``width`` inches; words that are longer are broken."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if width_of(longer, points, bold=bold) <= width:
            lines[-1] = longer
            continue
        lines += [""] if lines[-1] else []
        for sign in word:
            if lines[-1] and width_of(lines[-1] + sign, points, bold=bold) > width:
                lines.append("")
            lines[-1] += sign
    return "\n".join(lines)


@cache
def _advance(sign: str, bold: bool) -> float:
    """The width of a letter as a share of the size of the font."""
    if unicodedata.east_asian_width(sign) in "WF":
        return 1.0
    font = get_font(findfont(FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")))
    font.set_size(100, 72)
    glyph = font.load_char(ord(sign))
    return float(glyph.linearHoriAdvance) / 65536 / 100
