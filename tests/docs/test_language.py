"""The guide to the language: its examples run in order, as one program, and print what they say."""

import importlib.util
import re
from pathlib import Path

from tests.examples import printed, printed_by_comment, python_blocks

ROOT = Path(__file__).resolve().parent.parent.parent
GUIDE = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None


def test_examples_run_in_order_and_print_what_they_say():
    namespace = {"__name__": "language"}
    for block in python_blocks(GUIDE):
        if "matplotlib" in block and not HAS_MATPLOTLIB:
            continue
        lines = printed(block, "language.md", namespace)
        first = block.splitlines()[0]
        assert lines, f"the example that begins with {first!r} shows nothing"
        assert lines == printed_by_comment(block), f"in the example that begins with {first!r}"


def test_every_section_has_an_example_and_they_are_numbered():
    sections = re.split(r"^## ", GUIDE, flags=re.MULTILINE)[1:]
    assert len(sections) >= 20
    assert [section.split(".")[0] for section in sections] == [str(n) for n in range(1, len(sections) + 1)]
    assert [section.splitlines()[0] for section in sections if not python_blocks(section)] == []


def test_lines_are_short():
    assert [line for line in GUIDE.splitlines() if len(line) > 120] == []
