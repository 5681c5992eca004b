"""Headless Chromium for the tests of pages; without it, or without its libraries, these tests are skipped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe is not installed: pip install axe-playwright-python"
)

CHROMIUM = shutil.which("chromium")

#: Milliseconds until a page that does not come counts as a fault. A machine under load is slow and not wrong.
PATIENCE = 600_000

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")

_ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--disable-quic"),
)


@contextmanager
def launched() -> Iterator[Any]:
    """A browser, which closes in the end."""
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=list(_ARGUMENTS), timeout=PATIENCE)
        yield browser
        browser.close()


@contextmanager
def new_page(browser: Any, **settings: Any) -> Iterator[Any]:
    """An empty page with a context of its own, ``settings``."""
    context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | settings)
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


def draw_everything(page: Any) -> None:
    """Opens every part, and scrolls past every plot until it is drawn."""
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        plot.locator("svg.main-svg").first.wait_for()


def violations(page: Any) -> list[tuple[str, str, str]]:
    """What axe finds: how grave it is, its rule, and the first element that breaks it."""
    found = axe.Axe().run(page).response["violations"]
    return [(one["impact"], one["id"], one["nodes"][0]["html"]) for one in found]


def never_scrolls_sideways(page: Any) -> bool:
    """Whether all of the page is as wide as the window, or less."""
    wide: bool = page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    return wide
