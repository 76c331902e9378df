"""The help takes a moment: it loads nothing that only a run needs."""

import subprocess
import sys

import pytest

from pipelines.plan.tree import REPOSITORY

HEAVY = ("hydra", "omegaconf", "pydantic", "rich", "pandas", "scipy", "matplotlib", "jinja2", "jax", "torch")


@pytest.mark.parametrize("words", [["pipelines"], ["pipelines", "study=perfbench"], ["studies.perfbench"]])
def test_help_loads_no_heavy_library(words):
    program = (
        "import runpy, sys\n"
        f"sys.argv = {[*words, '--help']!r}\n"
        "try: runpy.run_module(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]" and "usage: python -m" in done.stdout
