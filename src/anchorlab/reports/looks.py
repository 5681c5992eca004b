"""The look of each method: one colour, one marker and one line everywhere, on light and on dark ground.

The colours begin with Okabe and Ito's and were moved so that any two differ for readers with normal sight and with
each kind of colour-blindness (protanopia, deuteranopia, tritanopia); tests/reports/test_looks.py measures that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Look(NamedTuple):
    """How a method is drawn: colour on light and on dark, marker of matplotlib and of plotly, filling, line."""

    light: str
    dark: str
    marker: str
    symbol: str
    filling: str = "full"
    line: str = "-"


LOOKS = {
    "plain": Look("#000000", "#f2f2f2", "o", "circle"),
    "scratch": Look("#846329", "#e2c169", "X", "x"),
    "l2": Look("#7097c5", "#3490cb", "v", "triangle-down"),
    "ewc": Look("#0067a4", "#89bffb", "^", "triangle-up"),
    "surgery": Look("#12a87a", "#33ce9d", "P", "cross"),
    "weight-ball": Look("#b6618f", "#d58fbc", "s", "square"),
    "anchoring": Look("#d55e00", "#ee7d22", "D", "diamond"),
    "distillation": Look("#b88d49", "#f9ae00", "h", "hexagon"),
    "benign": Look("#645d51", "#83837f", "d", "diamond-tall"),
    "reference": Look("#8c8e1f", "#adae45", "*", "star"),
}
OTHER_LOOKS = (
    Look("#342288", "#8881e7", "<", "triangle-left"),
    Look("#862255", "#c95f9c", ">", "triangle-right"),
    Look("#228c6f", "#57b39c", "p", "pentagon"),
)
#: Colours, on light and on dark, and lines of things that are no methods: detectors, kinds of access.
SERIES = tuple(
    (LOOKS[name].light, LOOKS[name].dark, line)
    for name, line in (
        ("ewc", "-"),
        ("anchoring", "--"),
        ("surgery", "-."),
        ("weight-ball", ":"),
        ("distillation", (0, (6, 2))),
        ("plain", (0, (1, 1))),
    )
)
#: Neutral colours of figures, and the variable of the style sheet that each is on a page.
INK, SOFT, RULE, GRID, PAPER = "#000000", "#555555", "#777777", "#e4e4e4", "#ffffff"
#: Words and signs on coloured ground, which a page leaves as they are in both schemes.
ON_LIGHT, ON_DARK = "#010101", "#fefefe"

_VARIABLES = {INK: "ink", SOFT: "soft", RULE: "strong-line", GRID: "line", PAPER: "ground"}

#: Filling of the marker, and line, of a method and then of its variants; what is not filled is white.
_VARIANTS = (("full", "-"), ("none", "--"), ("left", ":"), ("bottom", "-."))

#: The control that has no backdoor; its ASR says nothing about an attack.
CONTROL = "benign"


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """How each method is drawn. Variants of a method, such as ``plain (stopped)``, share its colour and marker."""
    by_method: dict[str, Look] = {}
    others: dict[str, Look] = {}
    for method in methods:
        base = method.partition(" (")[0]
        look = LOOKS.get(base) or others.setdefault(base, _other(base, list(others.values())))
        variant = sum(other.partition(" (")[0] == base for other in by_method) % len(_VARIANTS)
        filling, line = _VARIANTS[variant]
        by_method[method] = look._replace(filling=filling, line=line)
    return by_method


def _other(name: str, taken: Sequence[Look]) -> Look:
    """The look of a method of somebody else: the same every time, as long as no other in the figure has it."""
    first = sum(name.encode(errors="surrogatepass")) % len(OTHER_LOOKS)
    order = [*OTHER_LOOKS[first:], *OTHER_LOOKS[:first]]
    return next((look for look in order if look not in taken), order[0])


def on_a_page() -> dict[str, str]:
    """Each colour of a figure and what stands for it in the style sheet of a page: a variable, with the colour itself
    where the page has no such variable."""
    pairs = [(look.light, look.dark) for look in (*LOOKS.values(), *OTHER_LOOKS)]
    pairs += [(light, dark) for light, dark, _ in SERIES]
    coloured = {light: f"var(--of-{light[1:]}, {light})" for light, _ in pairs}
    return coloured | {colour: f"var(--{name}, {colour})" for colour, name in _VARIABLES.items()}


def unchanging(colour: str) -> str:
    """A colour that looks the same, and that a page leaves as it is in both schemes: for signs on coloured ground."""
    last = int(colour[5:], 16)
    return f"{colour[:5]}{last - 1 if last else 1:02x}"


def dark_variables() -> str:
    """The variables of ``on_a_page`` on dark ground, as declarations of a style sheet."""
    pairs = {look.light: look.dark for look in (*OTHER_LOOKS, *LOOKS.values())}
    pairs |= {light: dark for light, dark, _ in SERIES}
    return " ".join(f"--of-{light[1:]}: {dark};" for light, dark in pairs.items() if light not in _VARIABLES)
