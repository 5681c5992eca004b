"""The pages of a suite and of an analysis in Chromium: the first screen, print, dark ground, phones, mail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from anchorlab.reports.analysis import write_analysis
from anchorlab.reports.tokens.page import write_tokens
from tests.browser import violations
from tests.made_up_analysis import made_up
from tests.reports.test_browser import address, browser, opened, pytestmark  # noqa: F401  # fixtures and their conditions
from tests.tokens.made_up import made_up as made_up_tokens

#: The text of an A4 page between its margins, CSS pixels.
A4 = 688
PHONE = 390
#: The least size of text in a figure, CSS pixels: 9 points.
LEAST = 12


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_analysis(made_up(), tmp_path_factory.mktemp("analysis")).as_uri()


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_tokens(made_up_tokens(infinite=3), tmp_path_factory.mktemp("tokens")).as_uri()


@pytest.fixture(params=["suite", "analysis", "tokens"])
def page_at(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue({"suite": "address"}.get(request.param, request.param)))


@pytest.fixture(params=["suite", "analysis"])
def page_with_files(request: pytest.FixtureRequest, address: str, analysis: str) -> str:  # noqa: F811
    return address if request.param == "suite" else analysis


def shown_figures(page: Any) -> list[dict[str, float]]:
    """Of each figure that is to be seen: its width, and the sizes of its smallest text, and how far it sticks out."""
    script = """[...document.querySelectorAll('.drawn svg')].filter((svg) => svg.checkVisibility()).map((svg) => {
      const box = svg.getBoundingClientRect();
      const scale = box.width / svg.viewBox.baseVal.width;
      const texts = [...svg.querySelectorAll('text')];
      const sizes = texts.map((text) => scale * parseFloat(getComputedStyle(text).fontSize));
      return { width: box.width, text: Math.min(...sizes), right: box.right };
    })"""
    found: list[dict[str, float]] = page.evaluate(script)
    return found


def test_findings_and_the_first_table_stand_on_the_first_screen(opened: Any, page_at: str) -> None:  # noqa: F811
    page = opened(page_at, viewport={"width": 1280, "height": 900})
    findings = page.locator("#findings").bounding_box()
    table = page.locator("table").first
    assert findings["y"] < table.bounding_box()["y"]
    for row in table.locator("tbody tr:not(.group)").all()[:2]:
        box = row.bounding_box()
        assert box["y"] + box["height"] <= 900


def test_print_shows_every_figure_and_cuts_nothing(opened: Any, page_at: str) -> None:  # noqa: F811
    page = opened(page_at, viewport={"width": A4, "height": 1000}, color_scheme="dark")
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator(".plot:visible, .narrow:visible").count() == 0
    figures = shown_figures(page)
    assert len(figures) >= page.locator(".drawn.wide, .stills .drawn").count() > 0
    assert [figure for figure in figures if figure["right"] > A4 or figure["text"] < LEAST - 0.01] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= A4
    reach = "[...document.querySelectorAll('table')].map((table) => table.getBoundingClientRect().right)"
    assert max(page.evaluate(reach)) <= A4 + 1
    sizes = """['.value', '.interval'].map((part) =>
      parseFloat(getComputedStyle(document.querySelector(`td ${part}`)).fontSize))"""
    value, interval = page.evaluate(sizes)
    assert value >= interval
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_have_the_colours_of_the_scheme(opened: Any, analysis: str, scheme: str) -> None:  # noqa: F811
    page = opened(analysis, color_scheme=scheme)
    script = """(() => {
      const bright = (colour) => colour.match(/\\d+/g).slice(0, 3).map((value) => {
        const share = value / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
      }).reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0.05);
      const ground = bright(getComputedStyle(document.body).backgroundColor);
      const words = [...document.querySelectorAll('.drawn text')].filter((text) => text.checkVisibility());
      return words.map((text) => [text.textContent, bright(getComputedStyle(text).fill)])
        .filter(([words]) => !/^\\d+$/.test(words))
        .map(([words, ink]) => Math.max(ink, ground) / Math.min(ink, ground));
    })()"""
    contrasts = page.evaluate(script)
    assert len(contrasts) > 50
    assert min(contrasts) >= 4.5


def test_figures_are_laid_out_for_a_phone(opened: Any, analysis: str) -> None:  # noqa: F811
    page = opened(analysis, viewport={"width": PHONE, "height": 800})
    figures = shown_figures(page)
    assert len(figures) == page.locator(".drawn.narrow").count() > 5
    assert all(figure["right"] <= PHONE and figure["text"] >= LEAST - 0.2 for figure in figures)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE


def test_a_table_that_is_cut_off_says_that_it_scrolls(opened: Any, page_at: str) -> None:  # noqa: F811
    page = opened(page_at, viewport={"width": PHONE, "height": 800})
    script = """[...document.querySelectorAll('.scroll')].filter((box) => box.checkVisibility())
      .map((box) => [box.scrollWidth > box.clientWidth + 1, box.previousElementSibling.checkVisibility()])"""
    boxes = page.evaluate(script)
    assert any(cut for cut, _ in boxes)
    assert all(said for cut, said in boxes if cut)


def test_a_mailed_page_has_no_dead_link_and_saves_its_files(opened: Any, page_with_files: str, tmp_path: Path) -> None:  # noqa: F811
    alone = tmp_path / "mailed.html"
    alone.write_bytes(Path(page_with_files.removeprefix("file://")).read_bytes())
    page = opened(alone.as_uri())
    script = """[...document.querySelectorAll('a, img, link')]
      .map((one) => one.getAttribute('href') ?? one.getAttribute('src'))"""
    links = page.evaluate(script)
    assert [link[:40] for link in links if not link.startswith(("#", "data:"))] == []
    targets = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert {link[1:] for link in links if link.startswith("#")} <= set(targets)
    with page.expect_download() as saved:
        page.locator("a[download$='.csv']").first.click()
    name = saved.value.suggested_filename
    assert name.endswith(".csv")
    original = Path(page_with_files.removeprefix("file://")).parent / "tables" / name
    assert Path(saved.value.path()).read_bytes() == original.read_bytes()


def test_without_scripts_figures_stand_in_the_place_of_plots(opened: Any, address: str) -> None:  # noqa: F811
    page = opened(address, java_script_enabled=False, color_scheme="dark")
    assert page.locator(".plot:visible").count() == 0
    assert page.locator(".stills .drawn:visible").count() == page.locator(".stills .drawn").count() > 0


def test_axe_finds_nothing_on_the_page_of_an_analysis(opened: Any, analysis: str) -> None:  # noqa: F811
    page = opened(analysis, color_scheme="dark")
    assert violations(page) == []
