"""The tokens of largest KL in their context, as an element of a page: each token coloured by its KL."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from anchorlab.reports.html import environment
from anchorlab.tokens.result import Passage, ShownToken
from anchorlab.tokens.words import number

#: From which KL on, nats, a token has the next colour; an infinite one has a colour of its own.
LEVELS = (0.01, 0.1, 0.5, 2.0)

#: What the eye does not see, or sees too late, and what stands for it.
_UNSEEN = {"\n": "↵\n", "\t": "⇥\t"}

#: Whether a token is the reference's likeliest, and the candidate's, to what is said of it.
_LIKELIEST = {
    (True, True): "both models' likeliest",
    (True, False): "reference's likeliest",
    (False, True): "candidate's likeliest",
}


@dataclass(frozen=True)
class _Token:
    """A token as it is shown: its text, its colour's number, and what is said where a pointer rests on it."""

    text: str
    level: int
    words: str
    is_worst: bool = False


@dataclass(frozen=True)
class _Alternative:
    """A row below a passage: a token, what it is, and its probability under both models."""

    text: str
    role: str
    reference: str
    candidate: str


@dataclass(frozen=True)
class _Shown:
    """A passage as it is shown."""

    where: str
    tokens: Sequence[_Token]
    alternatives: Sequence[_Alternative]


def passages_element(passages: Sequence[Passage]) -> Markup:
    """The passages with a key to their colours; the style sheet ``tokens.css`` belongs to them."""
    template = environment().get_template("passages.html")
    return Markup(template.render(passages=[_shown(each) for each in passages], key=_key()))


def level_of(kl: float | None) -> int:
    """The number of a token's colour: 0 for none, 5 for an infinite KL."""
    if kl is None:
        return 0
    return len(LEVELS) + 1 if math.isinf(kl) else sum(kl >= level for level in LEVELS)


def visible_token(text: str) -> str:
    """A token's text with signs for what is not seen; an empty one, such as a special token's, as a sign too."""
    for sign, shown in _UNSEEN.items():
        text = text.replace(sign, shown)
    return text or "∅"


def _key() -> list[tuple[int, str]]:
    """The number of each colour, and what it means."""
    ends = [f"{level:g}" for level in LEVELS]
    ranges = [f"{low} to {high} nats" for low, high in pairwise(ends)]
    words = [*ranges, f"{ends[-1]} nats and more", "infinite"]
    return [(0, f"KL below {ends[0]} nats, or not scored"), *enumerate(words, start=1)]


def _shown(passage: Passage) -> _Shown:
    domain = "" if passage.domain is None else f" ({passage.domain})"
    size = "infinite KL" if math.isinf(passage.kl) else f"KL {number(passage.kl)} nats"
    return _Shown(
        where=f"{size} at position {passage.position:,} of document {passage.document:,}{domain}",
        tokens=[*map(_token, passage.before), _token(passage.token, is_worst=True), *map(_token, passage.after)],
        alternatives=_alternatives(passage),
    )


def _token(token: ShownToken, *, is_worst: bool = False) -> _Token:
    words = "not scored" if token.kl is None else f"KL {number(token.kl)} nats"
    return _Token(visible_token(token.text), level_of(token.kl), words, is_worst)


def _alternatives(passage: Passage) -> list[_Alternative]:
    top = [max((getattr(each, side) for each in passage.likeliest), default=0.0) for side in ("reference", "candidate")]
    rows = []
    for place, each in enumerate(passage.likeliest):
        likeliest = each.reference == top[0], each.candidate == top[1]
        roles = [*(["true token"] if place == 0 else []), *([_LIKELIEST[likeliest]] if any(likeliest) else [])]
        probabilities = (number(each.reference), number(each.candidate))
        rows.append(_Alternative(visible_token(each.text).replace("\n", ""), ", ".join(roles), *probabilities))
    return rows
