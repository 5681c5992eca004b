"""The audit's page in headless Chromium: axe in light and dark, phone, the filter, and print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from anchorlab.reports.audit.page import write_audit_page
from anchorlab.reports.audit.record import AuditRecord
from tests.browser import launched, needs_chromium, never_scrolls_sideways, new_page, violations

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as found:
        yield found


@pytest.fixture
def opened(browser: Any, record: AuditRecord, tmp_path: Path) -> Iterator[Any]:
    address = write_audit_page(record, tmp_path).as_uri()
    with ExitStack() as pages:

        def open_page(**settings: Any) -> Any:
            page = pages.enter_context(new_page(browser, **{"viewport": {"width": 1280, "height": 900}} | settings))
            page.goto(address)
            return page

        yield open_page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_and_the_page_never_scrolls_sideways(opened: Any, scheme: str, width: int) -> None:
    page = opened(color_scheme=scheme, viewport={"width": width, "height": 900})
    assert never_scrolls_sideways(page)
    assert violations(page) == []


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
    address = write_audit_page(AuditRecord.model_validate_json(text), tmp_path).as_uri()
    with new_page(browser, viewport={"width": width, "height": 900}) as page:
        page.goto(address)
        assert never_scrolls_sideways(page)
        cards = "[...document.querySelectorAll('.queries > li')]"
        assert page.evaluate(f"{cards}.every((card) => card.scrollWidth <= card.clientWidth)")
        narrow = page.evaluate(
            "Math.min(...[...document.querySelectorAll('.queries tbody th')].map((one) => one.clientWidth))"
        )
        assert narrow > 70


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
