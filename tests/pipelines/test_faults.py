"""What goes wrong on a real machine: killed workers, hangs, junk, a full disk, a run killed and started again.

No test asserts how long anything took; the limits only have to be reached.
"""

import errno
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from pipelines.entry import CELLS_ARE_KEPT, guarded
from pipelines.results.store import Store

PATIENCE_SECONDS = 60


def statuses(toy):
    return {r["identity"]["framework"]: r["status"] for r in Store(toy.root / "results").records("toy", "total")}


def reason(toy, framework):
    records = Store(toy.root / "results").records("toy", "total")
    return next(r["reason"] for r in records if r["identity"]["framework"] == framework)


def wait_for(condition, process=None):
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if process is not None and process.poll() is not None:
            pytest.fail(f"the run ended: {process.communicate()}")
        if time.monotonic() > end:
            pytest.fail(f"waited {PATIENCE_SECONDS} s in vain")
        time.sleep(0.02)


def test_worker_killed_during_timing_fails_alone(toy, capsys):
    toy.model("second", before="import os, signal; CALLS > 30 and os.kill(os.getpid(), signal.SIGKILL)")
    assert toy.run("timing.calls=20") == 1
    assert statuses(toy) == {"first": "ok", "second": "failed", "third": "ok"}
    assert "second: the worker was killed by SIGKILL during `time`" in reason(toy, "second")
    assert "second: the worker was killed by SIGKILL" in capsys.readouterr().out


def test_killed_baseline_leaves_the_others_without_ratios(toy):
    toy.model("first", before="import os, signal; CALLS > 30 and os.kill(os.getpid(), signal.SIGKILL)")
    assert toy.run("stages=[run]") == 1
    assert statuses(toy) == {"first": "failed", "second": "ok", "third": "ok"}
    store = Store(toy.root / "results")
    key = next(r["key"] for r in store.records("toy", "total") if r["identity"]["framework"] == "second")
    assert store.load("toy", "total", key)[1].keys() == {"output/total", "samples_s", "processes"}


def test_killed_worker_is_started_again_for_its_next_cell(toy):
    text = (toy.root / "configs/study/toy.yaml").read_text()
    toy.write("configs/study/toy.yaml", text.replace("    baseline: first\n", "    grid: {n_points: [3, 7]}\n"))
    toy.model("second", before="import os, signal; len(inputs['values']) == 3 and os.kill(os.getpid(), signal.SIGKILL)")
    assert toy.run("stages=[run]", "frameworks=[second]") == 1
    records = list(Store(toy.root / "results").records("toy", "total"))
    assert {r["identity"]["parameters"]["n_points"]: r["status"] for r in records} == {3: "failed", 7: "ok"}


def test_hang_past_the_limit_is_a_timeout(toy):
    toy.model("second", before="import time; CALLS > 30 and time.sleep(3600)")
    assert toy.run("limits.block_seconds=1") == 1
    assert statuses(toy) == {"first": "ok", "second": "timeout", "third": "ok"}
    assert "second: `time` took longer than its limit of 1 s; worker killed" in reason(toy, "second")


def test_framework_that_installs_something_may_start_for_longer_than_others(toy):
    slow = "def start(self, device, dtype):\n    __import__('time').sleep(2)\n"
    toy.framework("second", f"start_seconds = 300.0\n{slow}")
    toy.framework("third", slow)
    assert toy.run("frameworks=[second,third]", "limits.start_seconds=1") == 1
    assert statuses(toy) == {"second": "ok", "third": "timeout"}


def test_prints_of_a_framework_do_not_reach_the_protocol(toy):
    chatter = (
        "import os; print('noise'); os.write(1, b'more noise\\\\n'); print('stderr', file=__import__('sys').stderr)"
    )
    toy.model("second", before=chatter)
    assert toy.run() == 0


def test_junk_on_the_protocol_stream_fails_the_cell(toy):
    program = toy.write("junk.py", "import sys\nfor line in sys.stdin: print('Julia says hi', flush=True)\n")
    toy.framework("second", f"command = ({sys.executable!r}, {str(program)!r})")
    assert toy.run() == 1
    assert statuses(toy) == {"first": "ok", "second": "failed", "third": "ok"}
    assert "printed a line that is not a reply to `hello`: b'Julia says hi" in reason(toy, "second")


def test_worker_that_ends_at_once_shows_what_it_wrote(toy):
    program = toy.write("ends.py", "import sys\nprint('no such library', file=sys.stderr)\nsys.exit(3)\n")
    toy.framework("second", f"command = ({sys.executable!r}, {str(program)!r})")
    assert toy.run() == 1
    assert "second: the worker ended with status 3 during `hello`" in reason(toy, "second")
    record = next(r for r in Store(toy.root / "results").records("toy", "total") if r["status"] == "failed")
    assert record["traceback"] == "no such library"


def test_foreign_worker_that_is_not_installed_is_skipped(toy, capsys):
    toy.framework("second", 'command = ("no-such-interpreter", "worker.jl")')
    assert toy.run() == 0
    assert "skipped  total second: no-such-interpreter is not installed" in capsys.readouterr().out


def test_framework_that_cannot_use_the_device_is_skipped_and_does_not_fall_back(toy, capsys):
    toy.framework("second", 'def unavailable(self, device):\n    return "no device: the library sees none"\n')
    assert toy.run() == 0
    assert statuses(toy) == {"first": "ok", "second": "skipped", "third": "ok"}
    assert "skipped  total second: no device: the library sees none" in capsys.readouterr().out


def test_corrupt_record_is_reported_set_aside_and_measured_again(measured, capsys):
    victims = measured.records()
    victims[0].write_text("{ half of a reco")
    arrays = victims[1].with_name("arrays.npz")
    arrays.write_bytes(arrays.read_bytes()[:-40])
    victims[2].write_text('{"schema": 1, "key": 3}')
    assert measured.run() == 0
    out = capsys.readouterr().out
    assert out.count("Corrupt record") == 3
    assert "the checksum of its arrays is wrong" in out
    assert "toy: 3 ok of 3 cells (3 measured now)" in out
    assert len(list((measured.root / "results/toy/total").glob("*.corrupt"))) == 3
    assert measured.run() == 0
    assert "Nothing to measure" in capsys.readouterr().out


def test_full_disk_ends_with_one_line_and_keeps_what_is_finished(toy, capsys, monkeypatch):
    assert toy.run("frameworks=[first]") == 0
    kept = {path: path.read_bytes() for path in toy.records()}

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        capsys.readouterr()
        assert toy.run() == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "is full. Free some space and run again: finished cells are kept." in error
    assert {path: path.read_bytes() for path in toy.records()} == kept
    assert not list((toy.root / "results").rglob(".*.json")) and not list((toy.root / "results").rglob(".*.npz"))
    assert toy.run() == 0


def test_results_folder_that_cannot_be_made(toy, capsys):
    (toy.root / "file").write_text("")
    assert toy.run(f"results={toy.root / 'file' / 'results'}") == 1
    assert "Choose another folder with results=FOLDER" in capsys.readouterr().err


WAIT_FOR_FILE = (
    "import os, time; from pathlib import Path; Path({started!r}).write_text(str(os.getpid()));"
    " [time.sleep(0.01) for _ in iter(lambda: {when} and not Path({go!r}).exists(), False)]"
)
"""A statement of a model: says that it has started, then waits for a file."""


def test_killed_run_goes_on_with_what_is_missing(toy, capsys):
    text = (toy.root / "configs/study/toy.yaml").read_text()
    toy.write("configs/study/toy.yaml", text.replace("    baseline: first\n", "    grid: {n_points: [3, 7]}\n"))
    go, started = toy.root / "go", toy.root / "started"
    toy.model("second", WAIT_FOR_FILE.format(started=str(started), go=str(go), when="len(inputs['values']) == 7"))
    with toy.start("frameworks=[first,second]") as run:
        wait_for(lambda: len(toy.records()) == 2, run)
        run.send_signal(signal.SIGKILL)
    worker = int(started.read_text())
    if sys.platform == "linux":
        wait_for(lambda: not running(worker))
    go.touch()
    assert toy.run("frameworks=[first,second]") == 0
    out = capsys.readouterr().out
    assert "cached toy/total [first, second] 2 cells" in out
    assert "toy: 4 ok of 4 cells (2 measured now)" in out


def running(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_termination_ends_the_worker_and_says_what_is_kept(toy):
    go, started = toy.root / "go", toy.root / "started"
    toy.model("first", WAIT_FOR_FILE.format(started=str(started), go=str(go), when="True"))
    with toy.start("frameworks=[first]") as run:
        wait_for(lambda: started.exists() and started.read_text(), run)
        run.terminate()
        _, error = run.communicate(timeout=PATIENCE_SECONDS)
        assert run.returncode == 128 + signal.SIGTERM
    assert "Interrupted. Finished cells are kept" in error
    assert not running(int(started.read_text()))


def test_only_what_keeps_its_work_says_so_when_interrupted(capsys):
    def interrupted():
        raise KeyboardInterrupt

    assert guarded(interrupted) == 128 + signal.SIGINT
    assert capsys.readouterr().err == "\nInterrupted.\n"
    assert guarded(interrupted, CELLS_ARE_KEPT) == 128 + signal.SIGINT
    assert capsys.readouterr().err == "\nInterrupted. Finished cells are kept; the same command goes on from here.\n"


def test_second_run_waits_for_the_first(toy):
    go, started = toy.root / "go", toy.root / "started"
    toy.model("first", WAIT_FOR_FILE.format(started=str(started), go=str(go), when="True"))
    with toy.start("frameworks=[first]") as first:
        wait_for(started.exists, first)
        with toy.start("frameworks=[first]") as second:
            assert "Another run is measuring into" in second.stdout.readline()
            go.touch()
            out, _ = second.communicate(timeout=PATIENCE_SECONDS)
            assert second.returncode == 0
        first.communicate(timeout=PATIENCE_SECONDS)
        assert first.returncode == 0
    assert "Nothing to measure" in out, "it plans after the first has finished"


DIES_TALKING = """\
def unavailable(self, device):
    import os, sys
    print("Unknown flag in XLA_FLAGS: --x", file=sys.stderr, flush=True)
    os._exit(1)
"""


def test_last_words_of_a_worker_are_in_the_reason(toy):
    """Such as XLA's about a flag that it does not know, which it prints before it ends the process."""
    toy.framework("second", DIES_TALKING)
    assert toy.run("stages=[run]", "frameworks=[first,second]") == 1
    records = [json.loads(path.read_text()) for path in toy.records()]
    (reason,) = [record["reason"] for record in records if record["status"] != "ok"]
    assert "Unknown flag in XLA_FLAGS: --x" in reason


def test_worker_that_its_cgroup_kills_for_memory_is_out_of_memory(toy, monkeypatch):
    kills = iter(range(100))
    monkeypatch.setattr("pipelines.workers.processes.memory_kills", lambda: next(kills))
    toy.model("second", before="import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert toy.run("stages=[run]", "frameworks=[first,second]") == 1
    assert statuses(toy) == {"first": "ok", "second": "oom"}
