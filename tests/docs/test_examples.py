"""The programs in examples/: each prints what it says, draws its picture, and is shown in docs/examples.md."""

import io
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = sorted((ROOT / "examples").glob("*.py"))
PAGE = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")


def says_that_it_prints(text):
    """The comments behind the print calls, which the formatter may have set in several lines."""
    return re.findall(r"^(?:print\(.*)?\)  # (.*)$", text, re.MULTILINE)


def test_there_are_ten():
    assert len(PROGRAMS) >= 10


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_it_prints_what_it_says_and_draws(path, capsys):
    pytest.importorskip("matplotlib")
    expected = says_that_it_prints(path.read_text(encoding="utf-8"))
    figure = runpy.run_path(str(path), run_name="example")["figure"]
    assert capsys.readouterr().out.splitlines() == expected != []
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=40)
    assert drawn.getvalue().startswith(b"\x89PNG")


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_it_is_short_and_has_its_place_and_its_picture(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith('"""') and len(text.splitlines()) <= 75
    picture = path.parent / "pictures" / f"{path.stem}.png"
    assert f'"pictures" / "{picture.name}"' in text
    assert picture.stat().st_size < 60_000
    assert f"(../examples/{path.name})" in PAGE and f"(../examples/pictures/{picture.name})" in PAGE
