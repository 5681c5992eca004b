"""How every figure is drawn: one style, one look for each method, PNG and SVG files.

The same data give the same bytes. Every method has one colour and marker everywhere (Okabe and Ito's palette, safe for
colour-blind readers). A variant of a method, such as ``plain (stopped)``, shares them, with another filling and line.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import matplotlib.style
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from anchorlab.errors import printable
from anchorlab.files import write_atomically
from anchorlab.statistics.escaping import plotted

DPI = 150

STYLE = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "anchorlab",
}

#: Fonts for names in other scripts, where they are installed.
_FURTHER_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
    *("Droid Sans Fallback", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "Arial Unicode MS"),
    *("Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Thai", "Noto Emoji"),
)


class Look(NamedTuple):
    """How a method is drawn: colour on light and on dark, marker of matplotlib and of plotly, filling, line."""

    light: str
    dark: str
    marker: str
    symbol: str
    filling: str = "full"
    line: str = "-"


_LOOKS = {
    "plain": Look("#000000", "#f2f2f2", "o", "circle"),
    "scratch": Look("#8c6d1f", "#c9a64a", "X", "x"),
    "l2": Look("#56b4e9", "#56b4e9", "v", "triangle-down"),
    "ewc": Look("#0072b2", "#3d9bd6", "^", "triangle-up"),
    "surgery": Look("#009e73", "#22b98c", "P", "cross"),
    "weight-ball": Look("#cc79a7", "#d98fb8", "s", "square"),
    "anchoring": Look("#d55e00", "#ee7d22", "D", "diamond"),
    "distillation": Look("#e69f00", "#e69f00", "h", "hexagon"),
    "benign": Look("#8a8a8a", "#9a9a9a", "d", "diamond-tall"),
}
_OTHER_LOOKS = (
    Look("#332288", "#8c7fe0", "<", "triangle-left"),
    Look("#882255", "#d0639a", ">", "triangle-right"),
    Look("#44aa99", "#44aa99", "p", "pentagon"),
    Look("#999933", "#b3b34a", "8", "octagon"),
)
#: Filling of the marker, and line, of a method and then of its variants; what is not filled is white.
_VARIANTS = (("full", "-"), ("none", "--"), ("left", ":"), ("bottom", "-."))

#: The control that has no backdoor; its ASR says nothing about an attack.
CONTROL = "benign"


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """How each method is drawn."""
    by_method: dict[str, Look] = {}
    for method in methods:
        base = method.partition(" (")[0]
        look = _LOOKS.get(base) or _OTHER_LOOKS[sum(base.encode(errors="surrogatepass")) % len(_OTHER_LOOKS)]
        variant = sum(other.partition(" (")[0] == base for other in by_method) % len(_VARIANTS)
        filling, line = _VARIANTS[variant]
        by_method[method] = look._replace(filling=filling, line=line)
    return by_method


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
def written_figure(stem: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of a size in inches, in our style and not the user's, written as PNG and SVG at the end."""
    with matplotlib.style.context(["default", STYLE, {"font.family": _families()}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a box stands for the character
        figure = Figure(figsize=(width, height))
        yield figure
        for kind, metadata in (("png", {"Software": "anchorlab"}), ("svg", {"Creator": "anchorlab", "Date": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
            write_atomically(stem.with_name(f"{stem.name}.{kind}"), buffer.getvalue())


def marker_style(look: Look) -> dict[str, Any]:
    """A marker for matplotlib; hollow ones are painted white, so that error bars do not cross them."""
    hollow = look.filling == "none"
    return {
        "color": look.light,
        "marker": look.marker,
        "fillstyle": "full" if hollow else look.filling,
        "markerfacecolor": "white" if hollow else look.light,
        "markerfacecoloralt": "white",
        "markersize": 6,
        "markeredgewidth": 1.2,
        "linestyle": "none",
    }


def logarithmic_axis(axis: Any, which: str, low: float, high: float) -> None:
    """A logarithmic axis with plain numbers at its ticks, also between the powers of ten if there are few."""
    axis.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    ticks = getattr(axis, f"{which}axis")
    ticks.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 60 else (1,)))
    ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ticks.set_minor_formatter(NullFormatter())
