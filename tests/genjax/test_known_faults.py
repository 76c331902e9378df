"""Every fault of the published version that is known to give wrong answers or crashes has a test that bears its number.

The numbers are those of the list "correctness" in the contract of the language, item 15.1: 1 to 30.
"""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
N_FAULTS = 30


def test_every_known_fault_has_a_named_regression_test():
    source = "\n".join(path.read_text(encoding="utf-8") for path in sorted(TESTS.rglob("test_*.py")))
    numbered = {int(number) for number in re.findall(r"^def test_regression_15_1_(\d+)[a-z]?_", source, re.MULTILINE)}
    assert sorted(set(range(1, N_FAULTS + 1)) - numbered) == []
