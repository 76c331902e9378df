"""What a worker starts ends with it: after a crash, a normal end, an interrupt and the death of the run itself."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from pipelines.plan.tree import REPOSITORY
from pipelines.workers import guardian, processes
from pipelines.workers.client import ASK_TO_QUIT
from tests.pipelines.test_faults import PATIENCE_SECONDS, statuses, wait_for

linux = pytest.mark.skipif(sys.platform != "linux", reason="orphans are found through Linux's /proc and subreapers")

LEAVE = "from pipelines.testing import runaways; CALLS == 1 and runaways.{}"
KINDS = {
    "in the group": "leave_child()",
    "in a session of its own": "leave_child(own_session=True)",
    "without our variables": "leave_child(own_session=True, empty_environment=True)",
    "replacing itself": "leave_respawning_child()",
    "replacing itself in new sessions": "leave_respawning_child(own_session=True)",
}


@pytest.fixture(autouse=True)
def signals_of_a_terminal():
    """Signals act: under `nohup`, and in the background of a shell without job control, new processes ignore some."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def left_over(since: float) -> list[psutil.Process]:
    """Processes younger than `since` that run a worker, or what `runaways` starts, and are this test's or orphans.

    Those of other tests and runs, which may be at work beside this one, have living parents elsewhere.
    """
    found = []
    own = {process.pid for process in psutil.Process().children(recursive=True)}
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            ours = "time.sleep(120)" in command or "pipelines.workers.worker" in command
            related = process.pid in own or process.ppid() == 1
            if ours and related and process.create_time() >= since and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@linux
@pytest.mark.parametrize("kind", KINDS)
def test_no_child_survives_a_normal_end(toy, kind):
    since = time.time() - 1
    toy.model("second", before=LEAVE.format(KINDS[kind]))
    assert toy.run("stages=[run]", "frameworks=[first,second]") == 0
    assert statuses(toy) == {"first": "ok", "second": "ok"}
    assert left_over(since) == []


def test_a_worker_of_ours_is_ended_without_waiting_for_its_libraries_to_end(toy, monkeypatch):
    """They are half a second of a large system, for each of dozens of workers; nothing of theirs must be saved."""
    monkeypatch.delenv(ASK_TO_QUIT, raising=False)
    ended = toy.root / "ended"
    toy.model("first", before=f"import atexit, pathlib; atexit.register(pathlib.Path({str(ended)!r}).touch)")
    assert toy.run("stages=[run]", "frameworks=[first]") == 0
    assert not ended.exists()
    monkeypatch.setenv(ASK_TO_QUIT, "1")
    assert toy.run("stages=[run]", "frameworks=[first]", "remeasure=[all]") == 0
    assert ended.exists(), "somebody wants every worker to end by itself"
    ended.unlink()
    monkeypatch.delenv(ASK_TO_QUIT)
    toy.framework("second", f"command = {(sys.executable, '-m', 'pipelines.workers.worker')!r}")
    toy.model("second", before=f"import atexit, pathlib; atexit.register(pathlib.Path({str(ended)!r}).touch)")
    assert toy.run("stages=[run]", "frameworks=[second]") == 0
    assert ended.exists(), "a worker with a command of its own is asked to quit"


@linux
@pytest.mark.parametrize("kind", ["in the group", "in a session of its own"])
def test_no_child_survives_a_crash_nor_makes_the_run_hang(toy, kind):
    since = time.time() - 1
    crash = f"{LEAVE.format(KINDS[kind])}; import os; CALLS > 1 and os._exit(3)"
    toy.model("second", before=crash.replace("CALLS == 1 and runaways", "(CALLS == 1) and runaways"))
    assert toy.run("stages=[run]", "frameworks=[first,second]") == 1
    assert statuses(toy) == {"first": "ok", "second": "failed"}
    assert left_over(since) == []


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_child_survives_the_end_of_the_run(toy, number):
    started = toy.root / "started"
    stay = f"from pathlib import Path; Path({str(started)!r}).touch(); import time; time.sleep(100)"
    toy.model("first", before=f"{LEAVE.format(KINDS['in a session of its own'])}; {stay}")
    with toy.start("frameworks=[first]", "stages=[run]") as run:
        wait_for(started.exists, run)
        scratch = [p for p in psutil.Process(run.pid).children(recursive=True) if "guardian" in " ".join(p.cmdline())]
        (folder,) = {p.cmdline()[-1] for p in scratch}
        mark = scratch[0].cmdline()[-2]
        assert len(list(processes.marked(mark))) >= 2, "the worker and its child"
        run.send_signal(number)
        run.wait(PATIENCE_SECONDS)
    wait_for(lambda: not list(processes.marked(mark)))
    wait_for(lambda: not os.path.exists(folder))


def test_guardian_leaves_others_alone_and_ends(tmp_path):
    mark = processes.new_mark()
    sleep = [sys.executable, "-S", "-c", "import time; time.sleep(100)"]
    with (
        subprocess.Popen(sleep, env={**os.environ, processes.MARK: f"{mark}/worker"}, start_new_session=True) as own,
        subprocess.Popen(sleep, env={**os.environ, processes.MARK: processes.new_mark()}) as other,
    ):
        (tmp_path / "scratch").mkdir()
        (tmp_path / "scratch" / "file").touch()
        keeper = guardian.start(mark, [tmp_path / "scratch"])
        guardian.stop(keeper)
        assert keeper.returncode == 0 and not (tmp_path / "scratch").exists()
        assert own.wait(PATIENCE_SECONDS) == -signal.SIGTERM
        assert other.poll() is None
        other.kill()


KEEPS = """
import subprocess, sys, time
from pipelines.workers.guardian import guarding
with guarding() as environment:
    sleep = [sys.executable, "-S", "-c", "import time; time.sleep(120)"]
    child = subprocess.Popen(sleep, env=environment, start_new_session=True)
    print(child.pid, flush=True)
    child.wait()
"""


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_job_of_a_sweep_ends_with_the_sweep(number):
    """`pipelines.sweep` starts its runs inside this block."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, "-c", KEEPS], stdout=subprocess.PIPE, text=True, env=environment) as sweep:
        child = psutil.Process(int(sweep.stdout.readline()))
        sweep.send_signal(number)
        assert sweep.wait(PATIENCE_SECONDS) == -number
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
