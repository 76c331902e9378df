"""A picture of a page as the system's Chromium shows it, headless and without a network."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LIMIT_SECONDS = 120.0


def find_browser() -> str | None:
    """The system's Chromium: `CHROMIUM`, or one on the PATH."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


def screenshot(page: Path, picture: Path, width: int, height: int) -> str | None:
    """Writes the top of a page as a PNG; returns None, or the reason why there is no picture."""
    browser = find_browser()
    if browser is None:
        return f"no Chromium on this machine (looked for {', '.join(NAMES)}, and for the variable CHROMIUM)"
    with tempfile.TemporaryDirectory(prefix="genjax-artifact-") as folder:
        fresh = Path(folder) / "page.png"
        command = [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
            f"--user-data-dir={folder}/profile", f"--window-size={width},{height}", f"--screenshot={fresh}",
            page.resolve().as_uri(),
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{browser}: {error}"
        if done.returncode or not fresh.is_file():
            last = next(iter(reversed(done.stderr.strip().splitlines())), "no message")
            return f"{browser} ended with status {done.returncode}: {last[:200]}"
        shutil.copyfile(fresh, picture)
    return None
