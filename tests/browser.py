"""A headless Chromium for page tests. Where there is none, these tests are skipped and say so."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.output.screenshot import find_browser

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
