"""The table of numbers: every distribution is in it, with the support and the kind of gradient that the code has."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from genjax import Distribution, distributions, improper_uniform, mixture, zero_inflated
from tests.genjax.distributions.test_accuracy import EXACT, grid

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
    assert parameters and re.match(r"\de-\d", accuracy)
    assert set(re.findall(r"1e-\d+", smallest)) == rare_draws(name)
    is_discrete = chosen.support.is_discrete
    assert gradients in ({"score", "score or enumeration"} if is_discrete else {"pathwise", "implicit"})
    family = getattr(chosen._sample.value, "__self__", None)
    for form in getattr(family, "forms", ()):
        assert form.is_continuous is not is_discrete


def test_lines_of_text_are_short():
    assert [line for line in TEXT.splitlines() if len(line) > 120 and not line.startswith("|")] == []


def docstrings():
    """`{name: text}` of the strings that stand behind `name = define(...)`."""
    found = {}
    for path in sorted((ROOT / "genjax" / "distributions").glob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for node, after in zip(body, body[1:], strict=False):
            if isinstance(node, ast.Assign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                found[ast.unparse(node.targets[0])] = after.value.value
    return found


def rare_draws(name):
    """The smallest probabilities that a docstring states."""
    sentences = re.split(r"(?<=\.)\s", docstrings()[name])
    return {number for text in sentences if "probabilit" in text for number in re.findall(r"1e-\d+", text)}


@pytest.mark.parametrize("name", NAMES)
def test_every_docstring_states_the_smallest_probability_that_a_draw_resolves(name):
    assert rare_draws(name)


@pytest.mark.parametrize("constructor", [mixture, zero_inflated, improper_uniform])
def test_what_is_made_says_which_probabilities_its_draws_resolve(constructor):
    assert re.search(r"resolves the probabilities that the component resolves|has no draws", constructor.__doc__)
    assert f"`{constructor.__name__}(" in TEXT


COMPARED = {key[0]: [] for key in EXACT}
for _name, _labels in EXACT:
    if _labels.split()[-1] not in ("log_rate", "logits"):
        COMPARED[_name] = [np.array(column) for column in zip(*(p for _, p in grid(_name)), strict=True)]


@pytest.mark.parametrize("name", COMPARED)
def test_accuracy_and_ranges_are_those_of_the_comparison_with_fifty_digits(name):
    _, parameters, accuracy, _, _ = ROWS[name]
    assert accuracy == "1e-5 or 1e-4"
    ranges = re.findall(r"(\d[\de.^-]*) to (\d[\de.^-]*)", parameters)
    for low, high in ranges:
        low, high = (float(number.replace("2^40", str(2.0**40))) for number in (low, high))
        assert any(column.min() <= low * 1.01 and high * 0.99 <= column.max() for column in COMPARED[name]), (low, high)
