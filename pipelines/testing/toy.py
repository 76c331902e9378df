"""A small checkout in a temporary folder: NumPy frameworks and a study that sums numbers, so that runs take moments."""

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.cli import main
from pipelines.plan.tree import REPOSITORY, Tree

FRAMEWORK = """
from frameworks.base import Framework

class {title}(Framework):
    name = "{name}"
    label = "{title}"
    color = "#0173B2"
    distributions = ("numpy",)

    def start(self, device, dtype):
        self.dtype = dtype

    def synchronize(self, values):
        pass

    def to_numpy(self, outputs):
        return outputs
"""

PROBLEM = """
import numpy as np
from studies.base import Problem, Verdict

DETERMINISTIC = ("total", "other")

def make_problem(parameters):
    if parameters["n_points"] > 1000:
        raise ValueError(f"n_points={parameters['n_points']}: at most 1000.")
    values = np.arange(parameters["n_points"], dtype=np.float32)
    return Problem({"values": values}, {"total": float(values.sum())})

def check(task, problem, parameters, outputs):
    assert outputs["total"].dtype == np.float64
    error = abs(float(outputs["total"]) - problem.truth["total"])
    reason = None if error < 1e-6 else f"total is off by {error:g} (limit 1e-6)"
    return Verdict(reason, {"error": error, "missing": float("nan")})
"""

MODEL = """
import numpy as np
from frameworks.base import Program

CALLS = 0

def total(framework, data, parameters):
    def run(inputs):
        global CALLS
        CALLS += 1
        {before}
        return {{"total": np.asarray(inputs["values"].sum(dtype=np.float32) + np.float32({wrong}))}}
    return Program(lambda seed: {{"values": data["values"], "seed": seed}}, run, {{"calls": "one sum"}})
"""

FIGURES = """
from matplotlib.figure import Figure
from studies.base import figure

TASKS = ("total",)

@figure(file="toy_times_points{n_points}", tasks=TASKS, timing=True)
def times(context):
    drawing = Figure(figsize=(2, 2))
    axes = drawing.add_subplot()
    for row in context.rows:
        if row.status == "ok":
            assert float(row.arrays["total"]) == context.problem(row.parameters).truth["total"]
            axes.barh(row.label, row.median_s)
        else:
            axes.text(0, 0, row.status)
    axes.set_title(context.device_name)
    return drawing
"""

CONFIG = """
name: toy
parameters: {n_points: 4}
tasks:
  total:
    frameworks: [first, second, third]
    baseline: first
figures:
  times: {}
sizes:
  smoke: {parameters: {n_points: 3}}
"""

FAST = (
    "timing.min_block_seconds=0.0005",
    "timing.processes=1",
    "timing.min_rounds=5",
    "timing.max_rounds=5",
    "size=smoke",
)


class Toy:
    """The checkout and a way to run it."""

    def __init__(self, root: Path):
        self.root = root
        self.tree = Tree(root)
        for group in ("size", "device"):
            shutil.copytree(REPOSITORY / "configs" / group, root / "configs" / group)
        shutil.copy(REPOSITORY / "configs" / "config.yaml", root / "configs" / "config.yaml")
        (root / "configs" / "framework").mkdir()
        self.write("configs/study/toy.yaml", CONFIG)
        self.write("studies/toy/problem.py", PROBLEM)
        self.write("studies/toy/figures.py", FIGURES)
        for name in ("first", "second", "third"):
            self.framework(name)
            self.model(name)

    def write(self, path: str, text: str) -> Path:
        """Writes a file of the checkout, with a new modification time."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        before = target.stat().st_mtime_ns if target.exists() else 0
        target.write_text(textwrap.dedent(text))
        if target.stat().st_mtime_ns == before:
            os.utime(target, ns=(before + 1_000_000, before + 1_000_000))
        return target

    def framework(self, name: str, extra: str = "") -> None:
        """Writes a framework; `extra` are further class attributes."""
        self.write(
            f"frameworks/{name}.py", FRAMEWORK.format(name=name, title=name.title()) + textwrap.indent(extra, "    ")
        )

    def model(self, name: str, before: str = "pass", wrong: float = 0.0, study: str = "toy") -> None:
        """Writes a model; `before` is a statement at the start of each call, where `CALLS` counts calls."""
        self.write(f"studies/{study}/models/{name}.py", MODEL.format(before=before, wrong=wrong))

    def run(self, *words: str) -> int:
        """Runs the pipeline in this process, fast by default."""
        return main([*FAST, *words], tree=self.tree)

    @contextmanager
    def start(self, *words: str) -> Iterator[subprocess.Popen]:
        """A run in a process of its own, killed at the end of the block if it still runs."""
        program = (
            "import sys; from pathlib import Path; from pipelines.cli import main; "
            "from pipelines.plan.tree import Tree; "
            "sys.exit(main(sys.argv[2:], tree=Tree(Path(sys.argv[1]))))"
        )
        command = [sys.executable, "-W", "error", "-u", "-c", program, str(self.root), *FAST, *words]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=self.root, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def records(self) -> list[Path]:
        """The record files, complete ones only."""
        return sorted((self.root / "results").glob("toy/total/[!.]*/record.json"))
