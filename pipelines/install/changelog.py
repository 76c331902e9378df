"""Gather the fragments of `.changes/` in CHANGELOG.md under the heading of a version: `./run changelog VERSION`."""

import re
import sys
from pathlib import Path

from pipelines.install.fault import ROOT

FRAGMENTS = ".changes"
CHANGELOG = "CHANGELOG.md"
HEADING = "# Changelog\n"


def main(words: list[str], root: Path = Path(ROOT)) -> int:
    """Move all fragments into the changelog; return the exit status."""
    if len(words) != 1 or not re.fullmatch(r"\d+\.\d+\.\d+", words[0]):
        print(f"changelog: write ./run changelog VERSION, such as 0.2.0; got {' '.join(words)!r}", file=sys.stderr)
        return 2
    paths = sorted((root / FRAGMENTS).glob("*.md"))
    if not paths:
        print(f"changelog: there is no fragment in {FRAGMENTS}/, so nothing was changed", file=sys.stderr)
        return 1
    page = root / CHANGELOG
    text = page.read_text(encoding="utf-8")
    if f"\n## {words[0]}\n" in text:
        print(f"changelog: {CHANGELOG} has a section {words[0]} already", file=sys.stderr)
        return 1
    page.write_text(gathered(text, words[0], [path.read_text(encoding="utf-8") for path in paths]), encoding="utf-8")
    for path in paths:
        path.unlink()
    print(f"{len(paths)} fragments are now section {words[0]} of {CHANGELOG}")
    return 0


def gathered(changelog: str, version: str, fragments: list[str]) -> str:
    """Return the changelog with a new first section: one item for each fragment, its lines indented below it."""
    items = ["- " + "\n  ".join(fragment.strip().splitlines()) for fragment in fragments]
    head, heading, rest = changelog.partition(HEADING)
    if not heading:
        raise ValueError(f"{CHANGELOG} does not begin with {HEADING.strip()!r}")
    return f"{head}{heading}\n## {version}\n\n" + "\n".join(items) + "\n" + rest


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
