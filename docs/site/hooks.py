"""What the site takes from outside docs/: the front page, the changelog, examples and pictures, with their links."""

import os
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    ".github/SECURITY.md": "security.md",
    "CITATION.cff": "citation.md",
}
LANGUAGES = {".py": "python", ".cff": "yaml"}
LINK = re.compile(r"(\]\()([^)\s]+)(\))")


def site_path(path: str) -> str | None:
    """Where a file of the repository is on the site, or None if it isn't there."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith("examples/") and path.endswith(".py"):
        return path.removesuffix(".py") + ".md"
    return path if path.startswith(("figs/gallery/", "examples/")) else None


def repository_path(page: str) -> str:
    """The file of the repository that a page of the site is made from."""
    for path, other in PAGES.items():
        if other == page:
            return path
    if page.startswith("examples/"):
        return page.removesuffix(".md") + ".py"
    return "docs/" + page


def on_files(files, config):
    """Add what lies outside docs/."""
    patterns = ("figs/gallery/*.png", "examples/*.py", "examples/*.ipynb", "examples/pictures/*.png")
    shown = [path for pattern in patterns for path in ROOT.glob(pattern)]
    for path in [*(ROOT / name for name in PAGES), *sorted(shown)]:
        if not path.is_file():
            continue
        name = path.relative_to(ROOT).as_posix()
        target = site_path(name)
        if target.endswith(".md"):
            text = path.read_text(encoding="utf-8")
            if path.suffix != ".md":
                text = f"# {path.name}\n\n```{LANGUAGES[path.suffix]}\n{text}```\n"
            files.append(File.generated(config, target, content=text))
        else:
            files.append(File.generated(config, target, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Turn links between files of the repository into links between pages of the site."""
    here = repository_path(page.file.src_uri)
    folder = posixpath.dirname(page.file.src_uri)

    def moved(match):
        target, hash_, anchor = match[2].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        wanted = site_path(os.path.normpath(posixpath.join(posixpath.dirname(here), target)))
        if wanted is None:
            return match[0]  # the strict build calls it broken
        return f"{match[1]}{posixpath.relpath(wanted, folder or '.')}{hash_}{anchor}{match[3]}"

    return LINK.sub(moved, markdown)
