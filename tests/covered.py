"""`./run test --coverage`: how many lines of each package the tests run, in every process that they start.

Coverage leaves its settings in the environment (`patch` in pyproject.toml), where each Python that starts finds them:
xdist's workers, the workers of the pipelines, whole commands. Each of them writes its own file when it ends, and the
run that the user started adds them up; a process that a test kills writes none. build/coverage/index.html shows the
lines that no test runs.
"""

import json
import os
import shutil
import sys
import warnings

import pytest

from pipelines.workers.client import ASK_TO_QUIT

PACKAGES = ("genjax", "studies", "frameworks", "pipelines")


def pytest_addoption(parser):
    group = parser.getgroup("coverage", "which lines the tests run (tests/covered.py)")
    group.addoption("--coverage", action="store_true", help="also count the lines that run, in all processes")


def pytest_configure(config):
    # A worker of xdist counts since it started, as every Python with these settings.
    if config.option.coverage and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Covered(config.rootpath), "covered")


class Covered:
    """Counts from here to the end of the session, and prints a share for each package."""

    def __init__(self, root):
        import coverage  # needed by this option alone

        os.environ[ASK_TO_QUIT] = "1"
        self.root, self.folder = root, root / "build" / "coverage"
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "data").mkdir(parents=True)
        self.counter = coverage.Coverage(
            data_file=str(self.folder / "data" / "lines"),
            data_suffix=True,  # a file for each process
            source=[str(root / name) for name in PACKAGES if (root / name).is_dir()],
            config_file=str(root / "pyproject.toml"),
        )
        # Files that no test imports count as well, also in folders without an __init__.py, as most of studies/ are.
        self.counter.set_option("report:include_namespace_packages", True)
        # The usual core is called back for each function, those of JAX too. From Python 3.12 on the interpreter itself
        # notes the first time that a line runs.
        if sys.version_info >= (3, 12):
            self.counter.set_option("run:core", "sysmon")
        self.counter.start()

    @pytest.hookimpl(trylast=True)  # after xdist's: its workers have ended by then
    def pytest_sessionfinish(self):
        with warnings.catch_warnings():
            # This process may have run no line itself; and a process that was killed while it wrote its file, as some
            # tests do, has left a part of one, which is left out.
            warnings.simplefilter("ignore")
            self.counter.stop()
            self.counter.save()
            self.counter.combine()
            self.counter.save()

    def pytest_terminal_summary(self, terminalreporter):
        told = self.folder / "lines.json"
        self.counter.json_report(outfile=str(told))
        self.counter.html_report(directory=str(self.folder), skip_empty=True)
        terminalreporter.section("coverage")
        files = json.loads(told.read_text(encoding="utf-8"))["files"]
        for name, n_run, n_lines in shares(files, self.root):
            terminalreporter.write_line(f"{name:<11} {n_run / n_lines:6.1%} of {n_lines:6,} lines")
        terminalreporter.write_line(f"line by line: {self.folder / 'index.html'}")


def shares(files, root):
    """`(package, lines that ran, lines)` for each package with lines, and for all of them.

    Args:
        files: of coverage's report, by paths that are absolute or below the root.
    """
    counts = {name: [0, 0] for name in (*PACKAGES, "total")}
    for path, told in files.items():
        for name in ((root / path).relative_to(root).parts[0], "total"):
            counts[name][0] += told["summary"]["covered_lines"]
            counts[name][1] += told["summary"]["num_statements"]
    return [(name, *both) for name, both in counts.items() if both[1]]
