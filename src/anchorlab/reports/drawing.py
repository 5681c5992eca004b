"""How every figure is drawn: one style and size of text, on a sheet of a width, as PNG, SVG or PDF files.

The same data give the same bytes. Text in SVG and PDF files is text: it can be searched and edited.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from anchorlab.errors import printable
from anchorlab.files import write_atomically
from anchorlab.reports.lettering import in_lines, widest
from anchorlab.reports.looks import CONTROL as CONTROL
from anchorlab.reports.looks import GRID, PAPER
from anchorlab.reports.looks import Look as Look
from anchorlab.reports.looks import looks as looks
from anchorlab.statistics.escaping import plotted

DPI = 180

_STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 0.7,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "anchorlab",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}

#: Fonts for names in other scripts, where they are installed.
_FURTHER_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
    *("Droid Sans Fallback", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "Arial Unicode MS"),
    *("Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Thai", "Noto Emoji"),
)
#: What browsers take where matplotlib's font is missing: Verdana is as wide.
_IN_BROWSERS = "'DejaVu Sans', Verdana, Geneva, sans-serif"

#: Between tags is the users' text, which stays as it is.
_TAG = re.compile(rb"<[^>]*>")
#: An id that is a hash, where it is given and where it is used.
_HASHED = re.compile(rb'(\bid="|#)([a-z][0-9a-f]{10})(?=[")])')

#: No date and no version, so that the same figure is the same file.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": "anchorlab"},
    "svg": {"Creator": "anchorlab", "Date": None},
    "pdf": {"Creator": "anchorlab", "Producer": "anchorlab", "CreationDate": None},
}


@dataclass(frozen=True)
class Sheet:
    """What a figure is drawn on. A figure is laid out for its sheet and never scaled, so that text keeps its size.

    Attributes:
        width: of the sheet, inches; a figure may be narrower.
        font: size of all text, points.
        kinds: of the files: ``png``, ``svg``, ``pdf``.
        titled: whether the finding stands above the figure.
    """

    width: float
    font: float = 9.0
    kinds: tuple[str, ...] = ("png", "svg")
    titled: bool = True

    def across(self, panels: int, least: float, beside: float = 0.0) -> int:
        """How many panels of at least ``least`` inches stand beside each other, with ``beside`` inches for labels."""
        return max(1, min(panels, int((self.width - beside) / least)))

    @property
    def line(self) -> float:
        """The height of a line of text, inches."""
        return 1.35 * self.font / 72

    def label_width(self, labels: Iterable[str]) -> float:
        """The room for labels beside an axis, inches."""
        return widest(labels, self.font) + 0.15


#: The width of a page of A4 and of a page on a screen; nothing on it is scaled down on GitHub.
WIDE = Sheet(7.0)
#: The width of a phone.
NARROW = Sheet(3.6, kinds=("svg",))


def shorten(text: str, length: int) -> str:
    """A name of the user's as a label of a figure: one line of at most ``length`` characters, and never a formula.

    What is longer ends with an ellipsis. A space stands before a line at the beginning, because legends leave out
    labels that begin with one.
    """
    words = printable(text)
    short = words if len(words) <= length else words[: length - 1] + "…"
    return plotted(f" {short}" if short.startswith("_") else short)


@cache
def _families() -> list[str]:
    """Matplotlib's own font, and fonts of this machine for the scripts that it lacks."""
    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in _FURTHER_FONTS if name in installed)]


@contextmanager
def styled(settings: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Inside, figures are in our style and not the user's, in fonts of this machine; ``settings`` add to the style."""
    style = {**_STYLE, "font.family": _families(), **(settings or {})}
    fonts = logging.getLogger("matplotlib.font_manager")
    with matplotlib.style.context(["default", style]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a box stands for the character
        fonts.addFilter(_is_no_weight)
        try:
            yield
        finally:
            fonts.removeFilter(_is_no_weight)


def _is_no_weight(record: logging.LogRecord) -> bool:
    """Fonts for other scripts often have no bold form; matplotlib says so of each, and takes the plain one."""
    return "Failed to find font weight" not in record.getMessage()


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """A figure as the content of a file of a kind, ``png``, ``svg`` or ``pdf``, without a date: same data, same bytes.

    To be called inside ``styled``, because fonts and some settings are read when a figure is written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DPI, metadata=_METADATA[kind])
    content = buffer.getvalue()
    if kind != "svg":
        return content
    return numbered_ids(content.replace(b"'DejaVu Sans'", _IN_BROWSERS.encode()))


def numbered_ids(svg: bytes) -> bytes:
    """An SVG file whose clips and markers are numbered as they come.

    Matplotlib names them by a hash of their places. The layout's last bits, which no printed number shows, differ from
    run to run, and would change the names.
    """
    found: dict[bytes, bytes] = {}

    def renamed(match: re.Match[bytes]) -> bytes:
        name = found.setdefault(match[2], b"%s%d" % (match[2][:1], len(found) + 1))
        return match[1] + name

    def in_tag(tag: re.Match[bytes]) -> bytes:
        return _HASHED.sub(renamed, tag[0])

    return _TAG.sub(in_tag, svg)


def write_figure(figure: Figure, stem: Path, kinds: Iterable[str]) -> None:
    """Writes a figure as files ``stem.png``, ``stem.svg`` or ``stem.pdf``, without a date: same data, same bytes.

    Raises:
        AnchorlabError: if a file cannot be written.
    """
    for kind in kinds:
        write_atomically(stem.with_name(f"{stem.name}.{kind}"), figure_bytes(figure, kind))


@contextmanager
def written_figure(
    stem: Path,
    width: float,
    height: float,
    sheet: Sheet = WIDE,
    *,
    title: str = "",
    note: str = "",
    legend: Sequence[tuple[Any, str]] = (),
) -> Iterator[Figure]:
    """A figure of a size in inches, in our style and not the user's, written as files at the end.

    Args:
        stem: the files to write, less their endings.
        width: of the figure.
        height: of its panels; title, legend and note come on top of it.
        sheet: says which files, and the size of the text.
        title: the finding, above the figure; the user's words in it escaped by ``shorten``.
        note: what the signs mean, below everything; escaped as the title.
        legend: handles and labels, between the panels and the note, in as many columns as fit.
    """
    settings: dict[str, Any] = {"font.size": sheet.font, "axes.titlesize": sheet.font}
    settings |= {f"{part}.labelsize": sheet.font for part in ("axes", "xtick", "ytick")}
    settings |= {"legend.fontsize": sheet.font, "legend.columnspacing": 1.2}
    above = in_lines(title, width - 0.1, sheet.font + 1, bold=True) if sheet.titled else ""
    below = in_lines(note, width - 0.1, sheet.font)
    columns = _legend_columns([label for _, label in legend], sheet, width)
    heights = [
        (above.count("\n") + 1.6) * sheet.line * 1.1 if above else 0.0,
        (-(-len(legend) // columns) + 0.9) * sheet.line if legend else 0.0,
        (below.count("\n") + 1.6) * sheet.line if below else 0.0,
    ]
    whole = height + sum(heights)
    with styled(settings):
        figure = Figure(figsize=(width, whole), facecolor=PAPER)
        figure.set_layout_engine("constrained", rect=(0, sum(heights[1:]) / whole, 1, height / whole))
        line: dict[str, Any] = {"ha": "left", "linespacing": 1.35 / 1.2}
        figure.text(0.05 / width, 1 - 0.05 / whole, above, va="top", fontsize=sheet.font + 1, weight="bold", **line)
        figure.text(0.05 / width, 0.05 / whole, below, va="bottom", **line)
        if legend:
            handles, labels = zip(*legend, strict=True)
            place = (0.5, heights[2] / whole)
            figure.legend(handles, labels, loc="lower center", bbox_to_anchor=place, ncols=columns, borderaxespad=0)
        yield figure
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # once for all files
        write_figure(figure, stem, sheet.kinds)


def _legend_columns(labels: Sequence[str], sheet: Sheet, width: float) -> int:
    """How many columns of a legend fit, the same number of entries in each."""
    fitting = max(1, min(len(labels), int((width - 0.1) / (widest(labels, sheet.font) + 4.6 * sheet.font / 72))))
    lines = -(-len(labels) // fitting) if labels else 1
    return max(1, -(-len(labels) // lines))


def marker_style(look: Look) -> dict[str, Any]:
    """A marker for matplotlib; hollow ones are painted white, so that error bars do not cross them."""
    hollow = look.filling == "none"
    return {
        "color": look.light,
        "marker": look.marker,
        "fillstyle": "full" if hollow else look.filling,
        "markerfacecolor": PAPER if hollow else look.light,
        "markerfacecoloralt": PAPER,
        "markersize": 6,
        "markeredgewidth": 1.2,
        "linestyle": "none",
    }


def logarithmic_axis(axis: Any, which: str, low: float, high: float) -> None:
    """A logarithmic axis with plain numbers at its ticks, also between the powers of ten if there are few."""
    axis.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    ticks = getattr(axis, f"{which}axis")
    ticks.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 20 else (1, 3) if high / low < 100 else (1,)))
    ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ticks.set_minor_formatter(NullFormatter())
