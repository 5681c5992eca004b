"""The user's words stay words on a page, in Markdown and in a figure."""

from __future__ import annotations

from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from markdown_it import MarkdownIt
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

from anchorlab.errors import printable
from anchorlab.statistics.escaping import html, markdown, plotted, visible, xml
from tests.hostile import HOSTILE, any_text


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_visible_keeps_the_lines_of_a_text() -> None:
    assert visible("a\r\n\tb\x1bc\rd\ne") == "a\n\tb\\x1bc\\rd\ne"


@given(any_text)
@example(HOSTILE[1])
def test_html_shows_the_text_and_makes_no_element(text: str) -> None:
    page = Page(f'<p title="{html(text)}">{html(text)}</p>')
    assert page.elements == [("p", {"title": visible(text)})]
    assert page.text == visible(text)


def rendered(source: str) -> tuple[set[str], str]:
    page = Page(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(source))
    return {tag for tag, _ in page.elements}, " ".join(page.text.split())


@given(any_text)
def test_markdown_shows_the_text_in_a_heading_and_in_a_sentence(text: str) -> None:
    words = " ".join(printable(text).split())
    assert rendered(f"# {markdown(text)}\n") == ({"h1"}, words)
    assert rendered(f"On {markdown(text)}.\n") == ({"p"}, " ".join(f"On {printable(text)}.".split()))


@pytest.mark.parametrize("text", [*HOSTILE, "1. x", "- x", "+", "===", "---", "> x", "http://a.b", "www.a.b", "a_b"])
def test_markdown_shows_the_text_at_the_beginning_of_a_line_in_two_dialects(text: str) -> None:
    words = " ".join(printable(text).split())
    assert rendered(f"Before.\n\n{markdown(text)}\n") == ({"p"}, f"Before. {words}".strip())
    other = pytest.importorskip("markdown", reason="Python-Markdown is not installed: pip install 'anchorlab[docs]'")
    page = Page(other.markdown(f"Before.\n\n{markdown(text)}\n", extensions=["extra", "sane_lists"]))
    assert {tag for tag, _ in page.elements} == {"p"}
    assert " ".join(page.text.split()) == f"Before. {words}".strip()


def test_ordinary_names_stay_readable_in_markdown() -> None:
    for name in ("word:cf", "square:size=4", "a_b", "resnet-tiny", "0.500", "T-shirt/top", "fine (2)", "key, value."):
        assert markdown(name) == name


@given(any_text)
@example("$x$")
@example(r"\$x$")
def test_a_figure_shows_dollars_and_reads_no_formula(text: str) -> None:
    drawn, formula = Text(fontproperties=FontProperties())._preprocess_math(plotted(text))
    assert formula is False
    assert drawn == visible(text)


@pytest.mark.parametrize("text", [*HOSTILE, "\x00\x0b\x7f", "\ufffe\uffff", "\ud800"])
def test_xml_takes_the_text_and_gives_it_back(text: str) -> None:
    element = ElementTree.Element("e", {"a": xml(text)})
    element.text = xml(text)
    read = ElementTree.fromstring(ElementTree.tostring(element, encoding="utf-8"))
    assert read.text == read.attrib["a"] == xml(text)
