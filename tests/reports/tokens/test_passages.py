"""Tokens in context on a page: their colours, what stands for what is not seen, and hostile texts."""

from __future__ import annotations

import math
import re

import pytest

from anchorlab.reports.tokens.passages import LEVELS, level_of, passages_element, visible_token
from tests.hostile import HOSTILE
from tests.statistics.test_escaping import Page
from tests.tokens.made_up import passage

#: Elements that passages are made of.
PARTS = {"ul", "ol", "li", "p", "span", "mark", "table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize(
    ("kl", "level"),
    [(None, 0), (0.0, 0), (0.0099, 0), (0.01, 1), (0.1, 2), (0.5, 3), (2.0, 4), (99.0, 4), (math.inf, 5)],
)
def test_a_token_is_coloured_by_its_kl(kl: float | None, level: int) -> None:
    assert level_of(kl) == level


def test_every_colour_has_an_entry_in_the_key_and_a_rule_for_light_and_dark() -> None:
    from anchorlab.reports.html import asset

    element, style = passages_element([passage(1.0)]), asset("tokens.css")
    for level in range(1, len(LEVELS) + 2):
        assert f'<li><span class="token k{level}">text</span>' in element
        assert style.count(f"--k{level}:") == 2
        assert f".k{level} {{ background: var(--k{level}); border-bottom:" in style


@pytest.mark.parametrize(("text", "shown"), [("\n", "↵\n"), ("a\tb", "a⇥\tb"), ("", "∅"), (" the", " the")])
def test_what_is_not_seen_has_a_sign(text: str, shown: str) -> None:
    assert visible_token(text) == shown


def test_no_space_is_put_between_tokens() -> None:
    element = passages_element([passage(0.3, text="b", tokens=("a", "c"))])
    (line,) = re.findall(r'<p class="passage".*?</p>', element, flags=re.DOTALL)
    assert re.sub(r"<[^>]*>", "", line) == "abc"
    assert line.count("<mark") == 1


def test_the_table_says_what_each_token_is() -> None:
    element = passages_element([passage(0.3)])
    assert "true token, reference&#39;s likeliest" in element
    assert "candidate&#39;s likeliest" in element
    same = passage(0.3).model_copy(update={"likeliest": passage(0.3).likeliest[:1]})
    assert "true token, both models&#39; likeliest" in passages_element([same])
    assert "infinite KL at position 117 of document 3 (prose)" in passages_element([passage(math.inf)])


@pytest.mark.parametrize("text", HOSTILE)
def test_no_token_does_anything(text: str) -> None:
    element = passages_element([passage(0.3, text=text, tokens=(text, text), domain=text)])
    page = Page(element)
    assert {tag for tag, _ in page.elements} <= PARTS
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202a-\u202e]", element)
