"""A headless Chromium for page tests. Where there is none, these tests are skipped and say so."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str | None:
    """The system's Chromium: `CHROMIUM`, or one on the PATH. Playwright's own download is not relied on."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


needs_browser = pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine (apt install chromium)")


@contextmanager
def open_page(path: Path, **options: Any) -> Iterator[Any]:
    """A page opened from disk without a network; leaving the block fails the test if the page wrote an error."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_browser(), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        try:
            context = browser.new_context(offline=True, **options)
            page = context.new_page()
            said: list[str] = []
            page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: said.append(str(error)))
            page.goto(path.as_uri())
            yield page
            assert said == []
        finally:
            browser.close()
