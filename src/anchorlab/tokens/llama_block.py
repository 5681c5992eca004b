"""The block that ``llama-perplexity --kl-divergence`` prints at its end: written in its form, and read from its logs.

Logs come in three forms. Since 2024-05 the headings are those of ``LINES``; builds before 2025 print ``99.0%   KLD``
twice and leave out the 95, 90 and 0.1 percent. The first builds, of January 2024, print ``===== KL-divergence
statistics`` with ``Average``, ``Median``, ``Maximum``, ``Minimum`` and ``KLD_99`` to ``KLD_10``.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from anchorlab.errors import AnchorlabError
from anchorlab.files import input_file
from anchorlab.tokens.llama_cpp import Block, Entry


@dataclass(frozen=True)
class Line:
    """A line of the block.

    Attributes:
        heading: what stands before the value, with its spaces.
        digits: width and decimals of the value, as in ``10.6``.
        error: width and decimals of the uncertainty; empty where there is none.
        percent: whether the value is printed as a percentage.
    """

    heading: str
    digits: str
    error: str = ""
    percent: bool = False

    @property
    def name(self) -> str:
        """The heading without the spaces that line up the values."""
        return " ".join(self.heading.rstrip(": ").split())

    def text(self, entry: Entry) -> str:
        """The line as llama.cpp prints it."""
        factor = 100 if self.percent else 1
        text = f"{self.heading}{entry.value * factor:{self.digits}f}"
        if self.error and entry.error is not None:
            return f"{text} ± {entry.error * factor:{self.error}f}{' %' if self.percent else ''}"
        return f"{text}{'%' if self.percent else ''}"

    def interval(self, entry: Entry) -> str:
        """Our interval in the units of the line; empty where there is none."""
        if entry.interval is None:
            return ""
        factor, (_, decimals) = 100 if self.percent else 1, self.digits.split(".")
        lower, upper = (f"{end * factor:.{decimals}f}" for end in entry.interval)
        return f"[{lower}, {upper}]{' %' if self.percent else ''}"


def _perplexity(heading: str) -> Line:
    return Line(heading, "10.6", "10.6")


def _divergence(heading: str) -> Line:
    return Line(heading, "10.6")


def _change(heading: str) -> Line:
    return Line(heading, "6.3", percent=True)


#: The sections of the block: their headings, and their lines by our names of the statistics.
SECTIONS = {
    "====== Perplexity statistics ======": {
        "ppl_candidate": _perplexity("Mean PPL(Q)                   : "),
        "ppl_reference": _perplexity("Mean PPL(base)                : "),
        "nll_correlation": Line("Cor(ln(PPL(Q)), ln(PPL(base))): ", "6.2", percent=True),
        "log_ppl_ratio": _perplexity("Mean ln(PPL(Q)/PPL(base))     : "),
        "ppl_ratio": _perplexity("Mean PPL(Q)/PPL(base)         : "),
        "ppl_difference": _perplexity("Mean PPL(Q)-PPL(base)         : "),
    },
    "====== KL divergence statistics ======": {
        "kl": Line("Mean    KLD: ", "10.6", "10.6"),
        "kl_max": _divergence("Maximum KLD: "),
        "kl_p99_9": _divergence("99.9%   KLD: "),
        "kl_p99": _divergence("99.0%   KLD: "),
        "kl_p95": _divergence("95.0%   KLD: "),
        "kl_p90": _divergence("90.0%   KLD: "),
        "kl_p50": _divergence("Median  KLD: "),
        "kl_p10": _divergence("10.0%   KLD: "),
        "kl_p5": _divergence(" 5.0%   KLD: "),
        "kl_p1": _divergence(" 1.0%   KLD: "),
        "kl_p0_1": _divergence(" 0.1%   KLD: "),
        "kl_min": _divergence("Minimum KLD: "),
    },
    "====== Token probability statistics ======": {
        "delta_p": Line("Mean    Δp: ", "6.3", "5.3", percent=True),
        "delta_p_max": _change("Maximum Δp: "),
        "delta_p_p99_9": _change("99.9%   Δp: "),
        "delta_p_p99": _change("99.0%   Δp: "),
        "delta_p_p95": _change("95.0%   Δp: "),
        "delta_p_p90": _change("90.0%   Δp: "),
        "delta_p_p75": _change("75.0%   Δp: "),
        "delta_p_p50": _change("Median  Δp: "),
        "delta_p_p25": _change("25.0%   Δp: "),
        "delta_p_p10": _change("10.0%   Δp: "),
        "delta_p_p5": _change(" 5.0%   Δp: "),
        "delta_p_p1": _change(" 1.0%   Δp: "),
        "delta_p_p0_1": _change(" 0.1%   Δp: "),
        "delta_p_min": _change("Minimum Δp: "),
        "delta_p_rms": Line("RMS Δp    : ", "6.3", "5.3", percent=True),
        "same_top": Line("Same top p: ", "6.3", "5.3", percent=True),
    },
}

#: Every line by our name of its statistic, in the order of printing.
LINES = {name: line for lines in SECTIONS.values() for name, line in lines.items()}

#: Headings of the first builds, below the title that only they print.
_FIRST_TITLE = "KL-divergence statistics"
_FIRST = {
    "Average:": "kl",
    "Median :": "kl_p50",
    "Maximum:": "kl_max",
    "Minimum:": "kl_min",
    **{f"KLD_{percent:02d} :": f"kl_p{percent}" for percent in (99, 95, 90, 10, 5, 1)},
}
_HEADINGS = {" ".join(line.heading.split()): name for name, line in LINES.items()}

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|inf|nan)"
_HEADING = "|".join(re.escape(heading) for heading in (*_HEADINGS, *_FIRST))
_LINE = re.compile(rf"(?:^|\s)(?P<heading>{_HEADING}) ?(?P<value>{_NUMBER})(?: ?± ?(?P<error>{_NUMBER}))?")


def block_text(block: Block) -> list[str]:
    """The block's lines, each with our interval after it, where there is one."""
    return list(_block_text(block))


def _block_text(block: Block) -> Iterator[str]:
    for number, (title, lines) in enumerate(SECTIONS.items()):
        if number:
            yield ""
        yield title
        for name, line in lines.items():
            yield f"{line.text(block[name])}   {line.interval(block[name])}".rstrip()


def read_block(given: str | os.PathLike[str]) -> Block:
    """The statistics of a block that somebody saved or pasted into a file, whatever else the file holds.

    Returns:
        The statistics that it has, by our names; rates and changes in probability are fractions of 1.

    Raises:
        AnchorlabError: if the file cannot be read, holds no line of such a block, or two blocks with other numbers.
    """
    path = input_file(given, "give a file with what llama-perplexity --kl-divergence printed")
    text = path.read_bytes().decode(errors="replace")
    headings = _HEADINGS | (_FIRST if _FIRST_TITLE in text else {})
    found: dict[str, Entry] = {}
    for line in text.splitlines():
        match = _LINE.search(" ".join(line.split()))
        if match is None or match["heading"] not in headings:
            continue
        name = headings[match["heading"]]
        factor = 100 if LINES[name].percent else 1
        error = None if match["error"] is None else float(match["error"]) / factor
        entry = Entry(float(match["value"]) / factor, error)
        if name in found and not _alike(found[name], entry):
            raise AnchorlabError(
                f"{path} has '{match['heading']}' with two values, so it holds more than one run: leave one in it"
            )
        found[name] = entry
    if not found:
        raise AnchorlabError(
            f"{path} holds no statistics of llama.cpp, such as a line 'Mean    KLD: …': give a file with what "
            "llama-perplexity --kl-divergence printed"
        )
    return found


def _alike(first: Entry, second: Entry) -> bool:
    return first == second or (math.isnan(first.value) and math.isnan(second.value))
