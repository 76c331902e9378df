"""Figures of a study are drawn in several forks of the run: with the same files, and no fork outlives the run."""

import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from pipelines.output import forks
from pipelines.plan.tree import REPOSITORY
from pipelines.testing.toy import CONFIG, FAST, FIGURES
from tests.tiers import slow_except

PATIENCE_SECONDS = 60
OTHERS = ("second", "third", "fourth")
PROGRAM = """
import os, sys
from pathlib import Path
from pipelines.cli import main
from pipelines.output import forks
from pipelines.plan.tree import Tree

forks.most_at_once = lambda: int(sys.argv[2])
os.environ["RUN"] = str(os.getpid())
sys.exit(main(sys.argv[3:], tree=Tree(Path(sys.argv[1]))))
"""
ONE_MORE = """
@figure(file="toy_{name}", tasks=TASKS)
def {name}(context):
    import os, signal, sys, time
    from pathlib import Path
    drawing = Figure(figsize=(2, 2))
    drawing.text(0.1, 0.5, "{name} $x^2$", weight="bold")
    Path("drawn_by_{name}").write_text(str(os.getpid()))
    {statement}
    return drawing
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="forks are made on Linux only")


def give_figures(toy, **statements):
    """The toy gets the figures of `OTHERS` beside its own; statements by the names of figures that do more."""
    toy.write(
        "configs/study/toy.yaml",
        CONFIG.replace("times: {}", "\n  ".join(["times: {}", *(f"{one}: {{}}" for one in OTHERS)])),
    )
    more = [ONE_MORE.format(name=name, statement=statements.get(name, "pass")) for name in OTHERS]
    toy.write("studies/toy/figures.py", FIGURES + "".join(more))


def start(toy, at_once, *words):
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        PROGRAM,
        str(toy.root),
        str(at_once),
        *FAST,
        "frameworks=[first]",
        *words,
    ]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=toy.root, env=environment, stdout=pipe, stderr=pipe, text=True)


def drawn(toy, at_once, *words):
    """Status, standard output and standard error of a run that draws so many figures at once."""
    with start(toy, at_once, *words) as run:
        out, err = run.communicate(timeout=PATIENCE_SECONDS)
    return run.returncode, out, err


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def processes_of(toy):
    """The processes that drew figures, or began to, by the figures' names."""
    return {path.name.removeprefix("drawn_by_"): int(path.read_text()) for path in toy.root.glob("drawn_by_*")}


@linux
def test_one_process_and_several_draw_the_same_files_and_say_the_same(toy):
    give_figures(toy)
    assert toy.run("stages=[run]", "frameworks=[first]") == 0
    found, said = [], []
    for at_once in (1, 2, 8):
        figs = toy.root / f"figs{at_once}"
        status, out, err = drawn(toy, at_once, "stages=[figures]", f"figs={figs}")
        assert (status, err) == (0, "")
        found.append(files(figs))
        said.append(re.sub(r"in [\d.]+ s", "in SECONDS", out.replace(str(figs), "FIGS")))
        assert len(set(processes_of(toy).values())) == (1 if at_once == 1 else len(OTHERS))
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 4 * (len(OTHERS) + 2), "the timing figure has copies with the device's name"
    assert said[0] == said[1] == said[2]
    assert re.findall(r"drawing (\w+)", said[0]) == ["times", *OTHERS]


@linux
def test_a_single_figure_is_drawn_in_the_process_of_the_run(toy):
    give_figures(toy, second="assert os.getpid() == int(os.environ['RUN'])")
    assert toy.run("stages=[run]", "frameworks=[first]") == 0
    assert drawn(toy, 8, "stages=[figures]", "figures=[second]")[0] == 0


@linux
def test_a_figure_that_fails_in_a_fork_shows_its_traceback_and_what_it_prints(toy):
    give_figures(toy, second="raise RuntimeError('no ink')", third="print('a word')")
    status, out, err = drawn(toy, 2, "stages=[run,figures]")
    assert status == 1
    assert "FAILED figure second: RuntimeError: no ink" in out and "a word\n" in out
    assert err.startswith("Traceback") and err.endswith("RuntimeError: no ink\n") and err.count("Traceback") == 1
    assert all(f"figure   {name}: " in out for name in ("times", "third", "fourth"))


@linux
def test_a_fork_that_dies_fails_its_figure_alone_and_leaves_no_file(toy):
    folder = toy.root / "figs" / "smoke"
    folder.mkdir(parents=True)
    half = "Path(f'figs/smoke/.toy_{}.{{os.getpid()}}.svg').touch()"
    deaths = {
        "second": ("os.kill(os.getpid(), signal.SIGKILL)", "its process was killed by SIGKILL"),
        "third": ("os.kill(os.getpid(), signal.SIGRTMIN + 3)", "its process was killed by signal 37"),
        "fourth": ("sys.exit(4)", "its process ended with status 4"),
    }
    give_figures(toy, **{name: f"{half.format(name)}; {statement}" for name, (statement, _) in deaths.items()})
    status, out, err = drawn(toy, 2, "stages=[run,figures]")
    assert status == 1 and err == ""
    for name, (_, reason) in deaths.items():
        assert f"FAILED figure {name}: {reason}\n" in out
    assert "figure   times: " in out
    names = {path.name for path in folder.iterdir()}
    assert names and all(name.startswith("toy_times") for name in names)


@linux
def test_a_folder_that_cannot_be_written_is_one_line_as_without_forks(toy):
    give_figures(toy)
    assert toy.run("stages=[run]", "frameworks=[first]") == 0
    (toy.root / "taken").write_text("a file")
    for at_once in (1, 2):
        status, _, err = drawn(toy, at_once, "stages=[figures]", f"figs={toy.root / 'taken'}")
        assert status == 1
        assert err.startswith(f"error: Cannot write {toy.root / 'taken'}: ") and "figs=FOLDER" in err
        assert err.count("\n") == 1


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]


@pytest.mark.parametrize("number", slow_except([signal.SIGINT, signal.SIGKILL], SIGNALS))
@linux
def test_no_fork_and_no_half_file_outlives_the_run(toy, number):
    half = "Path(f'figs/smoke/.toy_second.{os.getpid()}.svg').touch()"
    give_figures(toy, second=f"{half}; Path('began').touch(); time.sleep(100)", third="time.sleep(100)")
    assert toy.run("stages=[run]", "frameworks=[first]") == 0
    folder = toy.root / "figs" / "smoke"
    folder.mkdir(parents=True)
    began = [toy.root / "began", toy.root / "drawn_by_third"]
    with start(toy, 3, "stages=[figures]") as run:
        try:
            wait_for(lambda: all(path.exists() and path.stat().st_size >= (path.name != "began") for path in began))
            run.send_signal(number)
            _, err = run.communicate(timeout=PATIENCE_SECONDS)
        finally:
            run.kill()
    drawing = {process for name, process in processes_of(toy).items() if name in ("second", "third")}
    assert len(drawing) == 2 and run.pid not in drawing
    wait_for(lambda: not any(psutil.pid_exists(process) for process in drawing))
    if number == signal.SIGKILL:  # nobody was left to tidy up
        assert run.returncode == -number
        return
    assert run.returncode == 128 + number and err.strip().startswith("Interrupted.")
    assert not list(folder.glob(".*"))


def wait_for(condition):
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@linux
def test_a_process_that_has_threads_of_a_library_is_not_forked(monkeypatch):
    for name in forks.UNFORKABLE:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(forks, "usable_cores", lambda: 5)
    assert forks.most_at_once() == 5
    for name in forks.UNFORKABLE:
        with monkeypatch.context() as loaded:
            loaded.setitem(sys.modules, name, object())
            assert forks.most_at_once() == 1
