"""The table of numbers: every distribution is in it, with the support and the kind of gradient that the code has."""

import re
from pathlib import Path

import pytest

from genjax import Distribution, distributions

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = (ROOT / "docs" / "numerics.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip("`"): cells[1:]
    for line in TEXT.splitlines()
    if line.startswith("| `") and (cells := [cell.strip() for cell in line.strip("|").split("|")])
}
NAMES = [name for name, value in vars(distributions).items() if isinstance(value, Distribution)]


def test_every_distribution_has_a_row():
    assert sorted(ROWS) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_row(name):
    support, parameters, accuracy, smallest, gradients = ROWS[name]
    chosen = getattr(distributions, name)
    assert support == str(chosen.support)
    assert parameters and re.match(r"\de-\d", accuracy) and re.match(r"(1e-19|6e-8)", smallest)
    is_discrete = chosen.support.is_discrete
    assert gradients in ({"score", "score or enumeration"} if is_discrete else {"pathwise", "implicit"})
    family = getattr(chosen._sample.value, "__self__", None)
    for form in getattr(family, "forms", ()):
        assert form.is_continuous is not is_discrete


def test_lines_of_text_are_short():
    assert [line for line in TEXT.splitlines() if len(line) > 120 and not line.startswith("|")] == []
