"""Words of the user's in a LaTeX file: no sign is a command, and pdfLaTeX, XeLaTeX and LuaLaTeX all run through.

pdfLaTeX knows Western letters and, as mathematics, Greek and common signs. Of all others, Chinese and emoji for
example, it prints the code points, as in U+732B. XeLaTeX and LuaLaTeX print the characters themselves, in a font that
has them.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from anchorlab.errors import printable

#: Begins a file in which `latex` needs it: its first argument for XeLaTeX and LuaLaTeX, its second for pdfLaTeX.
PREAMBLE = r"\providecommand{\anchorlabunicode}[2]{\ifdefined\Umathchar #1\else #2\fi}"

_SIGNS = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",  # the sign itself is a command in German
    "`": r"\char96{}",
    "–": "--",
    "—": "---",
    "‘": "`{}",
    "’": "'{}",
    "“": "``{}",
    "”": "''{}",
    "…": r"\ldots{}",
    "\u00a0": "~",
    "\u3000": r"\quad{}",
    "°": r"\textdegree{}",
    "€": r"\texteuro{}",
}
_GREEK = """
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega
"""
_MATHEMATICS = {
    "−": "-", "×": r"\times", "÷": r"\div", "±": r"\pm", "·": r"\cdot", "⋅": r"\cdot", "∞": r"\infty", "‖": r"\|",
    "√": r"\surd", "≤": r"\leq", "≥": r"\geq", "≠": r"\neq", "≈": r"\approx", "≡": r"\equiv", "∝": r"\propto",
    "→": r"\rightarrow", "←": r"\leftarrow", "↔": r"\leftrightarrow", "⇒": r"\Rightarrow", "∈": r"\in", "∉": r"\notin",
    "∅": r"\emptyset", "∪": r"\cup", "∩": r"\cap", "⊂": r"\subset", "⊆": r"\subseteq", "∀": r"\forall",
    "∃": r"\exists", "¬": r"\neg", "∧": r"\wedge", "∨": r"\vee", "∑": r"\sum", "∏": r"\prod", "∫": r"\int",
    "«": r"\ll", "»": r"\gg", "∂": r"\partial", "∇": r"\nabla", "ℓ": r"\ell", "∘": r"\circ", "†": r"\dagger",
    "‡": r"\ddagger", "µ": r"\mu",
    **{digit: f"^{position}" for position, digit in zip("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹", strict=True)},
    **{digit: f"_{position}" for position, digit in zip("0123456789", "₀₁₂₃₄₅₆₇₈₉", strict=True)},
}  # fmt: skip
#: Letters of western and central European languages that every font encoding of pdfLaTeX has.
_LETTERS = (
    "¡¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿĀāĂăĆćĈĉĊċČčĎďĒēĔĕĖėĚěĜĝĞğĠġĢģĤĥĨĩĪīĬĭİıĴĵĶķĹĺĻļ"
    "ĽľŁłŃńŅņŇňŌōŎŏŐőŒœŔŕŖŗŘřŚśŜŝŞşŠšŢţŤťŨũŪūŬŭŮůŰűŴŵŶŷŸŹźŻżŽž"
)


def _table() -> dict[str, str]:
    table = {**_SIGNS, **{sign: f"${command}$" for sign, command in _MATHEMATICS.items()}}
    for name in _GREEK.split():
        letter = unicodedata.lookup(f"GREEK SMALL LETTER {name.replace('lambda', 'lamda').upper()}")
        table[letter] = rf"$\{name}$"
        if name in ("gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi", "omega"):
            table[letter.upper()] = rf"$\{name.capitalize()}$"
    return table | {"ς": r"$\varsigma$", "Ω": r"$\Omega$", "∆": r"$\Delta$"}


_TABLE = _table()
#: Signs that together would make another one, such as two hyphens a dash.
_LIGATURE = re.compile(r"(?<=-)-|(?<=')'|(?<=,),|(?<=[?!])`")
_KNOWN = {*_TABLE, *_LETTERS}
_OTHERS = re.compile(rf"(?:[^\x20-\x7e{re.escape(''.join(_KNOWN))}])+")


def latex(text: object) -> str:
    """A text inside a line of a LaTeX file whose beginning has `PREAMBLE`; line breaks become a visible ``\\\\n``."""
    words = unicodedata.normalize("NFC", printable(text))
    return "".join(_plain(part) if index % 2 == 0 else _codes(part) for index, part in enumerate(_split(words)))


def _split(words: str) -> list[str]:
    """The words in parts: what pdfLaTeX can print and what it cannot, in turns."""
    ends = [0, *(end for found in _OTHERS.finditer(words) for end in found.span()), len(words)]
    return [words[start:end] for start, end in pairwise(ends)]


def _plain(words: str) -> str:
    apart = _LIGATURE.sub(lambda found: f"\0{found.group()}", words)
    return "".join("{}" if sign == "\0" else _TABLE.get(sign, sign) for sign in apart)


def _codes(words: str) -> str:
    return rf"\anchorlabunicode{{{words}}}{{{' '.join(f'U+{ord(sign):04X}' for sign in words)}}}"


def row_of(cells: list[str]) -> str:
    r"""A row of a ``tabular`` from cells that are LaTeX already.

    The ``\\`` before a row, and a rule of booktabs, would take a ``[`` or ``*`` at its beginning for an argument.
    """
    row = " & ".join(cells)
    return rf"{'{}' if row.lstrip().startswith(('[', '*')) else ''}{row} \\"
