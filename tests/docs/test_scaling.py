"""The page on scale: its examples run in order, as one program, and print what they say."""

from pathlib import Path

from tests.examples import printed, printed_by_comment, python_blocks

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "scaling.md").read_text(encoding="utf-8")


def test_examples_run_in_order_and_print_what_they_say():
    namespace = {"__name__": "scaling"}
    blocks = python_blocks(PAGE)
    assert len(blocks) == 3
    for block in blocks:
        assert printed(block, "scaling.md", namespace) == printed_by_comment(block) != []
