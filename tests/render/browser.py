"""A browser for the tests of the page: the one that is installed, headless; a test skips where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Shown:
    """A page in the browser, and what it did that it should not.

    Attributes:
        page: playwright's page.
        complaints: Errors, messages on the console and requests, in the order they came.
    """

    page: Any
    complaints: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        """Return the text of one element."""
        found: str = self.page.inner_text(selector)
        return found

    def settle(self) -> None:
        """Wait until what was asked for is drawn: the page draws in the next frame."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements that match."""
        found: list[str] = self.page.locator(selector).all_inner_texts()
        return found


@contextmanager
def start_browser() -> Iterator[Any]:
    """Give a browser; skips the test where playwright or a browser is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def open_page(browser: Any, path: Path, *, width: int = 1024, scheme: str = "light") -> Iterator[Shown]:
    """Open a file and wait until it says that it is drawn; whatever it complains of fails the test at the end."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    shown = Shown(page)
    page.on("console", lambda message: shown.complaints.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: shown.complaints.append(f"error: {error}"))
    page.on("request", lambda request: shown.complaints.append(f"request: {request.url}"))
    page.on("dialog", lambda dialog: shown.complaints.append(f"dialog: {dialog.message}"))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=600_000)
    try:
        yield shown
        assert shown.complaints == [f"request: {path.as_uri()}"]
    finally:
        page.close()
