"""The page in headless Chromium: no error, no request off the page, sorting, hovering, schemes, phone, axe."""

import dataclasses
from contextlib import ExitStack

import pandas as pd
import pytest

from anchorlab.reports.suite.page import write_page
from tests.browser import draw_everything, launched, needs_chromium, never_scrolls_sideways, new_page, violations
from tests.reports.conftest import make_suite

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def browser():
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def address(suite, tmp_path_factory):
    return write_page(suite, tmp_path_factory.mktemp("browser")).as_uri()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A page with every kind of element, and few runs: axe looks at each cell of each table."""
    return write_page(make_suite(targets=(0.95,), seeds=(0,)), tmp_path_factory.mktemp("small")).as_uri()


@pytest.fixture
def opened(browser, address):
    """Opens a page; afterwards there must have been no error and no request for anything else."""
    troubles = []
    with ExitStack() as pages:

        def open_page(where=address, **settings):
            page = pages.enter_context(new_page(browser, **settings))
            page.on("console", lambda message: troubles.append(message.text))
            page.on("pageerror", lambda error: troubles.append(str(error)))
            page.on("request", lambda request: troubles.append(request.url) if request.url[:4] == "http" else None)
            page.on("requestfailed", lambda request: troubles.append(request.url))
            page.goto(where)
            return page

        yield open_page
    assert troubles == []


@pytest.mark.parametrize("width", [1200, 390])
def test_axe_finds_nothing_and_the_page_never_scrolls_sideways(opened, small, width):
    page = opened(small, color_scheme="light", viewport={"width": width, "height": 800})
    draw_everything(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert never_scrolls_sideways(page)
        assert violations(page) == []


def first_column(page, group=1):
    """Row headings and values of KL in a group of the first table, as shown."""
    rows = page.locator(f"table.sortable >> nth=0 >> tbody >> nth={group - 1} >> tr.method:has(td[data-value])")
    return [
        (row.locator("th").inner_text().split("\n")[0], float(row.locator("td").nth(3).get_attribute("data-value")))
        for row in rows.all()
    ]


@pytest.mark.parametrize("keyboard", [False, True])
def test_columns_sort_by_click_and_by_keyboard_and_say_so(opened, keyboard):
    page = opened()
    header = page.locator("table.sortable >> nth=0 >> thead th:has-text('KL')")
    button = header.locator("button.sort")
    before = first_column(page)
    for order in ("ascending", "descending", None):
        if keyboard:
            button.focus()
            page.keyboard.press("Enter")
        else:
            button.click()
        assert header.get_attribute("aria-sort") == order
        expected = sorted(before, key=lambda row: row[1], reverse=order == "descending") if order else before
        assert first_column(page) == expected
    kinds = page.locator("table.sortable >> nth=0 >> tbody >> nth=0 >> tr:not(.group)")
    assert [row.get_attribute("class") for row in kinds.all()] == ["method"] * 6 + ["control"] * 2


def test_a_definition_opens_by_keyboard_beside_its_heading_and_closes_with_escape(opened):
    page = opened()
    button = page.get_by_role("button", name="What KL means").first
    button.focus()
    page.keyboard.press("Enter")
    note = page.locator(".definition:popover-open")
    assert "Kullback-Leibler" in note.inner_text()
    inside, beside = note.bounding_box(), button.bounding_box()
    assert abs(inside["y"] - beside["y"] - beside["height"]) < 40
    page.keyboard.press("Escape")
    assert note.count() == 0


def test_plots_answer_to_hovering_and_to_the_choice_of_a_metric(opened):
    page = opened()
    plot = page.locator(".plot.methods").first
    plot.scroll_into_view_if_needed()
    plot.locator(".points path").first.wait_for()
    plot.locator(".points path").nth(6).hover(force=True)
    hover = plot.locator(".hovertext").first
    hover.wait_for()
    assert "KL" in hover.text_content()
    page.locator(".plots select").first.select_option("churn")
    assert plot.locator(".xtitle").text_content() == "churn"


def test_plots_follow_the_colour_scheme(opened):
    page = opened(color_scheme="light")
    plot = page.locator(".plot.methods").first
    plot.scroll_into_view_if_needed()
    plot.locator(".points path").first.wait_for()
    colour = "document.querySelector('.plot.methods .ytick text').style.fill"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    # The page forbids what wait_for_function needs, the evaluation of text.
    for _ in range(50):
        if page.evaluate(colour) != light:
            break
        page.wait_for_timeout(100)
    assert page.evaluate(colour) != light


def test_every_run_is_listed_when_opened_and_can_be_searched_and_sorted(opened, suite):
    page = opened()
    assert page.locator("#every-run table").count() == 0
    page.locator("#every-run summary").click()
    rows = page.locator("#every-run tbody tr")
    rows.first.wait_for()  # the event of opening comes later
    assert rows.count() == min(200, len(suite.results))
    page.get_by_label("Rows that contain").fill("anchoring")
    wanted = suite.results[suite.results["method"] == "anchoring"]
    assert rows.count() == len(wanted)
    header = page.locator("#every-run thead th", has=page.get_by_text("kl", exact=True))
    header.locator("button").click()
    column = page.locator("#every-run thead th").all_inner_texts().index("kl")
    shown = [float(row.locator("td").nth(column).inner_text()) for row in rows.all()]
    assert shown == pytest.approx(sorted(wanted["kl"]), rel=1e-4)


def test_five_thousand_runs_are_below_ten_megabytes_and_open(opened, tmp_path):
    suite = make_suite(seeds=(0, 1), targets=(0.95,))
    copies = -(-5000 // len(suite.results))
    many = [suite.results.assign(trigger=f"square:size={size + 1}") for size in range(4)] * (copies // 4 + 1)
    results = pd.concat(many, ignore_index=True)
    results["seed"] += 10 * results.groupby(["trigger", "method", "anchors_asked", "reference_seed", "seed"]).cumcount()
    choices = pd.concat([suite.choices.assign(trigger=f"square:size={size + 1}") for size in range(4)])
    big = dataclasses.replace(suite, results=results, choices=choices)
    page_file = write_page(big, tmp_path)
    assert len(results) >= 5000
    assert page_file.stat().st_size < 10e6
    page = opened(page_file.as_uri())
    page.locator("#every-run summary").click()
    page.locator("#every-run button.more").click()
    assert page.locator("#every-run tbody tr").count() == 400


def test_it_prints_with_dark_ink_on_white(opened):
    page = opened(color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
