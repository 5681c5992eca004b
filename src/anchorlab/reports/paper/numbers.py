r"""How a LaTeX table of a paper writes a mean with its 95% interval, and how wide that is.

``0.0093 \pm 0.0012`` where the interval is symmetric as far as the digits show, and otherwise the distances to its two
ends, ``0.0093^{+0.0027}_{-0.0025}``: the interval of a geometric mean is asymmetric, and so is one that is cut to the
range of its measurement; one half-width would be wrong at both ends. All cells of a column are written in one way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font

from anchorlab.errors import printable
from anchorlab.metrics import Metric
from anchorlab.statistics.estimate import Estimate
from anchorlab.statistics.latex import latex
from anchorlab.statistics.numbers import significant
from anchorlab.statistics.table import number

#: Size of the table's text in points, ``\small`` of a document of 10 points; widths are for it.
_SIZE = 9.0
#: Widths in em of Computer Modern at 9 and at 6 points, which are wider than at 10 points in proportion.
_DIGIT, _POINT, _SIGN = 0.52, 0.29, 0.8
_SCRIPT = 6 * 1.19
#: Most decimals before a number is written with a power of ten.
_MOST_DECIMALS = 5
_DASH = "--"
#: Of a character that pdfLaTeX lacks, see `anchorlab.statistics.latex`.
_CODES = r"\anchorlabunicode"


@dataclass(frozen=True)
class Written:
    """A cell or heading in LaTeX, and its width in points, estimated from above."""

    tex: str
    width: float


def written_column(estimates: Sequence[Estimate | None], metric: Metric, best: Sequence[bool]) -> list[Written]:
    """The cells of one metric.

    Args:
        estimates: a mean with its interval for each row; None for a row without one.
        metric: what was measured.
        best: whether the cell is set in bold.
    """
    finite = [None if each is None else _finite(each) for each in estimates]
    spreads = [spread for each in finite if each is not None and (spread := _deviations(each)) is not None]
    shared = None if metric.logarithmic else _shared_decimals([max(spread) for spread in spreads])
    form = _form(finite, shared)
    return [
        Written(_DASH, 9) if each is None else _cell(each, shared, form, bold=bold)
        for each, bold in zip(finite, best, strict=True)
    ]


def words(text: str, tex: str) -> Written:
    """Words in a cell: as they are read, for their width, and in LaTeX."""
    return Written(tex, text_width(text))


@cache
def _font() -> FT2Font:
    font = FT2Font(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "cmr10.ttf"))
    font.set_size(_SIZE, 72)
    return font


@cache
def text_width(text: str) -> float:
    """The width of words in points at the size of the table's text, estimated from above."""
    known = "".join(map(_measured, printable(text)))
    font = _font()
    font.set_text(known, 0.0)
    # Spaces at the ends have no ink; 1.05: letters at 9 points are wider in proportion than at 10 points.
    return 1.05 * float(font.get_width_height()[0]) / 64 + 3 * (len(known) - len(known.strip()))


@cache
def _measured(sign: str) -> str:
    """Letters as wide as what LaTeX prints of a character: itself, or the code point of one that pdfLaTeX lacks."""
    if sign.isascii() and (sign.isalnum() or sign in " .,-()/"):
        return sign
    return "U+00000 " if _CODES in latex(sign) else "m"


def _finite(estimate: Estimate) -> Estimate | None:
    """The estimate; None where it is undefined."""
    value = number(estimate.value)
    return None if value is None else Estimate(value, number(estimate.lower), number(estimate.upper))


def _deviations(estimate: Estimate) -> tuple[float, float] | None:
    """The distances to the lower and to the upper end."""
    if estimate.value is None or estimate.bounds is None:
        return None
    lower, upper = estimate.bounds
    return estimate.value - lower, upper - estimate.value


def _decimals(spread: float) -> int:
    """The decimals that show two digits of a distance; 0 for none."""
    return max(1 - math.floor(math.log10(spread)), 0) if spread > 0 else 0


def _shared_decimals(spreads: Sequence[float]) -> int:
    """The decimals of a column: two digits of its largest distance, one of its smallest."""
    above = [spread for spread in spreads if spread > 0]
    if not above:
        return 4
    return min(max(_decimals(max(above)), _decimals(min(above)) - 1, 2), 4)


def _decimals_of(estimate: Estimate, shared: int | None) -> int | None:
    """The decimals of a value with an interval; None for one that takes a power of ten, or has no width."""
    spread = max(_deviations(estimate) or (0.0,))
    if shared is not None:
        return shared
    decimals = _decimals(spread)
    return None if spread <= 0 or decimals > _MOST_DECIMALS else decimals


def _form(estimates: Sequence[Estimate | None], shared: int | None) -> str:
    """How a column writes intervals: ``half``, ``distances``, or ``ends`` where one leaves its value out."""
    form = "half"
    for estimate in estimates:
        spread = None if estimate is None else _deviations(estimate)
        if estimate is None or spread is None:
            continue
        if min(spread) < -1e-12:
            return "ends"
        unit = 10.0 ** -(_decimals_of(estimate, shared) or _decimals(max(spread)))
        if abs(spread[0] - spread[1]) > unit:
            form = "distances"
    return form


def _cell(estimate: Estimate, shared: int | None, form: str, *, bold: bool) -> Written:
    value, spread = estimate.value, _deviations(estimate)
    assert value is not None
    decimals = _decimals_of(estimate, shared)
    if spread is None or (decimals is None and max(spread) <= 0):
        plain = significant(value) if shared is None else f"{value:.{shared}f}"
        if "e" in plain:
            mantissa, _, exponent = plain.partition("e")
            return _powered([mantissa], int(exponent), form, bold=bold)
        return _joined([plain], form, bold=bold)
    down, up = spread
    parts = [value, value - down, value + up] if form == "ends" else [value, down, up]
    if form == "half":
        parts = [value, (down + up) / 2]
    if decimals is not None:
        return _joined([_rounded(part, decimals) for part in parts], form, bold=bold)
    power = math.floor(math.log10(max(abs(value), max(spread))))
    digits = min(max(power + _decimals(max(spread)), 0), 3)
    return _powered([_rounded(part / 10.0**power, digits) for part in parts], power, form, bold=bold)


def _rounded(value: float, decimals: int) -> str:
    """The number without a minus sign before zero."""
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _joined(parts: Sequence[str], form: str, *, bold: bool) -> Written:
    first = rf"\mathbf{{{parts[0]}}}" if bold else parts[0]
    width = _width(parts[0]) * (1.15 if bold else 1.0)
    if len(parts) == 1:
        return Written(f"${first}$", width)
    if form == "half":
        return Written(rf"${first} \pm {parts[1]}$", width + _width(parts[1]) + 1.25 * _SIZE)
    if form == "distances":
        scripts = max(_width(part, _SCRIPT) for part in parts[1:]) + _SIGN * _SCRIPT
        return Written(f"${first}^{{+{parts[2]}}}_{{-{parts[1]}}}$", width + scripts)
    ends = sum(_width(part, _SCRIPT * 1.1) for part in parts[1:])
    return Written(rf"${first}$ {{\scriptsize $[{parts[1]}, {parts[2]}]$}}", width + ends + 1.4 * _SIZE)


def _powered(parts: Sequence[str], power: int, form: str, *, bold: bool) -> Written:
    inner = _joined(parts, form, bold=bold)
    if len(parts) > 1:
        inner = Written(f"$({inner.tex.strip('$')})$" if form != "ends" else f"({inner.tex})", inner.width + 8)
    return Written(rf"{inner.tex}$\,{{\cdot}}10^{{{power}}}$", inner.width + 1.6 * _SIZE + _width(str(power), _SCRIPT))


def _width(text: str, size: float = _SIZE) -> float:
    return size * sum(_POINT if sign in ".," else _SIGN if sign in "+-" else _DIGIT for sign in text)


def wrapped(title: str, width: float) -> list[str]:
    """A heading in lines that are no wider than a width, as far as its words allow."""
    lines = [title.split(" ")[0]]
    for word in title.split(" ")[1:]:
        longer = f"{lines[-1]} {word}"
        if text_width(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def split_evenly(widths: Sequence[float], room: float) -> list[range]:
    """Neighbouring columns in as few parts as a room can hold; a column wider than the room is alone.

    Args:
        widths: of the columns.
        room: for the columns of one part.
    """
    starts, used = [0], 0.0
    for index, width in enumerate(widths):
        if used and used + width > room:
            starts.append(index)
            used = 0.0
        used += width
    return [range(first, last) for first, last in pairwise([*starts, len(widths)])]
