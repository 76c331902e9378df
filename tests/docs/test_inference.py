"""The guide to inference: its examples run in order, as one program, and print what they say."""

import importlib.util
import re
from pathlib import Path

import pytest

from tests.examples import printed, printed_by_comment, python_blocks

ROOT = Path(__file__).resolve().parent.parent.parent
GUIDE = (ROOT / "docs" / "inference.md").read_text(encoding="utf-8")


def test_examples_run_in_order_and_print_what_they_say():
    namespace = {"__name__": "inference"}
    without_arviz = importlib.util.find_spec("arviz") is None
    for block in python_blocks(GUIDE):
        if without_arviz and "to_arviz(" in block:
            continue
        lines = printed(block, "inference.md", namespace)
        first = block.splitlines()[0]
        assert lines, f"the example that begins with {first!r} shows nothing"
        assert lines == printed_by_comment(block), f"in the example that begins with {first!r}"
    if without_arviz:
        pytest.skip("ArviZ is not installed: its example did not run, all others did")


def test_every_section_has_an_example_and_they_are_numbered():
    sections = re.split(r"^## ", GUIDE, flags=re.MULTILINE)[1:]
    assert [section.split(".")[0] for section in sections] == [str(n) for n in range(1, len(sections) + 1)]
    assert [section.splitlines()[0] for section in sections if not python_blocks(section)] == []


def test_eight_schools_take_ten_lines_from_the_model_on():
    block = next(block for block in python_blocks(GUIDE) if "schools" in block)
    lines = [
        line for line in block.splitlines() if line and not line.startswith(("import", "from", "effects", "errors"))
    ]
    assert len(lines) <= 10
