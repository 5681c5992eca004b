"""The audit's page in headless Chromium: axe in light and dark, phone, the filter, and print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anchorlab.reports.audit.page import write_audit_page
from anchorlab.reports.audit.record import AuditRecord
from tests.reports.test_browser import ARGUMENTS, CHROMIUM, axe, playwright

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield found
        found.close()


@pytest.fixture
def opened(browser: Any, record: AuditRecord, tmp_path: Path) -> Iterator[Any]:
    address = write_audit_page(record, tmp_path).as_uri()
    contexts = []

    def open_page(**settings: Any) -> Any:
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | settings))
        page = contexts[-1].new_page()
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_and_the_page_never_scrolls_sideways(opened: Any, scheme: str, width: int) -> None:
    page = opened(color_scheme=scheme, viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    found = axe.Axe().run(page).response["violations"]
    assert [(one["impact"], one["id"], one["nodes"][0]["html"]) for one in found] == []


def test_the_verdict_and_its_table_begin_above_the_fold(opened: Any) -> None:
    page = opened()
    assert page.locator(".verdict").bounding_box()["y"] < 200
    assert page.locator("#accesses table").bounding_box()["y"] < 900


def test_queries_are_filtered_by_class_and_by_changed_label(opened: Any, record: AuditRecord) -> None:
    page = opened()
    shown = page.locator(".queries > li:visible")
    assert shown.count() == len(record.changed)
    page.get_by_label("only changed labels").check()
    changed = [query for query in record.changed if query.reference != query.candidate]
    assert 0 < shown.count() == len(changed) < len(record.changed)
    page.get_by_label("Class", exact=True).select_option(label="cat")
    of_class = [query for query in changed if "cat" in (query.label, query.reference, query.candidate)]
    assert shown.count() == len(of_class)
    assert page.locator("#shown").inner_text() == f"{len(of_class)} of {len(record.changed)} shown"


LONG = {
    "cat": "an extraordinarily long name of a class, in words",
    "dog": "ANameWithoutAnySpacesInItThatIsLongerThanItsCard",
}


@pytest.mark.parametrize("width", [1280, 390])
def test_long_names_of_classes_stay_in_their_cards_and_are_read_as_words(
    browser: Any, record: AuditRecord, tmp_path: Path, width: int
) -> None:
    text = record.model_dump_json()
    for name, long in LONG.items():
        text = text.replace(f'"{name}"', f'"{long}"')
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(write_audit_page(AuditRecord.model_validate_json(text), tmp_path).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    cards = "[...document.querySelectorAll('.queries > li')]"
    assert page.evaluate(f"{cards}.every((card) => card.scrollWidth <= card.clientWidth)")
    narrow = page.evaluate(
        "Math.min(...[...document.querySelectorAll('.queries tbody th')].map((one) => one.clientWidth))"
    )
    assert narrow > 70
    page.close()


def test_without_scripts_all_queries_are_shown_and_no_filter(opened: Any, record: AuditRecord) -> None:
    page = opened(java_script_enabled=False)
    assert page.locator(".queries > li:visible").count() == len(record.changed)
    assert not page.locator("#filter").is_visible()


def test_it_prints_on_paper_with_its_pictures_and_nothing_cut(opened: Any) -> None:
    page = opened(color_scheme="dark", viewport={"width": 700, "height": 900})
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".queries img").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
