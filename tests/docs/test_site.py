"""The documentation as a site: it builds strictly, needs no network to be viewed, and documents every public name."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import genjax

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = ROOT / "docs" / "site" / "mkdocs.yml"
# Attributes that Material's own code mentions and loads only for diagrams, of which there are none.
REMOTE = re.compile(r"<(?:script|link|img|iframe|source)[^>]*(?:src|href)=[\"']?(?:https?:)?//", re.IGNORECASE)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; building stops at the first warning, such as a link that leads nowhere."""
    pytest.importorskip("mkdocstrings", reason="the group `docs` of requirements.txt is left out")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, "--config-file", str(CONFIGURATION), "--site-dir", str(folder)],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return folder


def test_every_page_is_there(site):
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    built = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    assert pages <= built and {Path("index"), Path("changelog")} <= built


def test_nothing_is_fetched_from_elsewhere(site):
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not REMOTE.search(text), path.name
        assert 'class="mermaid"' not in text, f"{path.name}: diagrams are drawn by a script from the network"


def test_pictures_are_on_the_site(site):
    pictures = [
        (path, target)
        for path in site.rglob("*.html")
        for target in re.findall(r'<img[^>]* src="([^"]+)"', path.read_text())
    ]
    assert len(pictures) >= 7
    assert [target for path, target in pictures if not (path.parent / target).is_file()] == []


def test_every_public_name_has_its_entry_with_its_source(site):
    entries = set()
    for path in (site / "api").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        entries |= {name.rpartition(".")[2] for name in re.findall(r'<h\d id="(genjax[\w.]*)" class="doc', text)}
    modules = {name for name in genjax.__all__ if inspect.ismodule(getattr(genjax, name))}
    assert set(genjax.__all__) - modules - entries == set()
    text = (site / "api" / "language.html").read_text(encoding="utf-8")
    assert text.count("Source code in") > 20
