"""What `import genjax` adds to `import jax`, in fresh processes."""

import os
import subprocess
import sys

import numpy as np

from pipelines.bench.base import MISSED, Context, Finding, judge_at_most
from pipelines.race import statistics

TITLE = "import genjax after import jax, fresh processes"
PROCESSES = 9
LIMIT_SECONDS = 0.3
PROGRAM = """\
import time
start = time.perf_counter()
import jax
middle = time.perf_counter()
import genjax
print(middle - start, time.perf_counter() - middle)
"""


def run(context: Context) -> list[Finding]:
    """Times both imports in each process; the first process, which fills the file cache, does not count."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    measured = []
    with context.reporter.cells("import genjax", PROCESSES + 1):
        for index in range(PROCESSES + 1):
            context.reporter.activity("import genjax", f"process {index} of {PROCESSES}")
            command = [sys.executable, "-c", PROGRAM]
            where = context.tree.root
            done = subprocess.run(
                command, cwd=where, env=environment, capture_output=True, text=True, timeout=300, check=False
            )
            if done.returncode != 0:
                return [Finding("import genjax", done.stderr.strip().splitlines()[-1], "works", MISSED)]
            measured.append([float(word) for word in done.stdout.split()])
            context.reporter.advance()
    jax_s, added_s = np.array(measured[1:]).T
    base, added = statistics.median_interval(jax_s), statistics.median_interval(added_s)
    return [
        Finding("import jax", f"{base.value:.3f} s [{base.low:.3f}, {base.high:.3f}]"),
        Finding(
            "import genjax adds",
            f"{added.value:.3f} s [{added.low:.3f}, {added.high:.3f}]",
            f"at most {LIMIT_SECONDS:g} s",
            judge_at_most(added.low, added.high, LIMIT_SECONDS),
            {"import_jax_s": jax_s.tolist(), "added_s": added_s.tolist()},
        ),
    ]
