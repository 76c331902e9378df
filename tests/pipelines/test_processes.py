"""Several processes per contestant, on chosen cores: what is measured, stored and refused."""

import json
import os

import numpy as np
import pytest

from pipelines.config.configuration import configure
from pipelines.errors import ConfigurationFaults
from pipelines.plan.descriptions import describe
from pipelines.race.program import Program
from pipelines.race.timing import ContestantFailure
from pipelines.results.store import Store
from pipelines.workers.client import confined
from pipelines.workers.cores import Cores
from pipelines.workers.pool import WorkerPool

COUNTED = """
import os
from pathlib import Path
import numpy as np
from frameworks.base import Program

MARKS = Path(__file__).parent / "marks"
MARKS.mkdir(exist_ok=True)
(MARKS / str(os.getpid())).touch()
NUMBER = len(list(MARKS.iterdir()))

def total(framework, data, parameters):
    def run(inputs):
        wrong = NUMBER == {wrong_in}
        return {{"total": np.asarray(inputs.sum(dtype=np.float32) + np.float32(wrong)), "cores": np.asarray({cores})}}
    return Program(lambda seed: data["values"], run)
"""
AFFINITY = "len(os.sched_getaffinity(0))" if hasattr(os, "sched_getaffinity") else "0"


def counted(toy, name, wrong_in=0):
    toy.write(f"studies/toy/models/{name}.py", COUNTED.format(wrong_in=wrong_in, cores=AFFINITY))
    return toy.root / "studies" / "toy" / "models" / "marks"


def stored(toy, framework):
    store = Store(toy.root / "results")
    record = next(one for one in store.records("toy", "total") if one["identity"]["framework"] == framework)
    return store.load("toy", "total", record["key"])


def test_rounds_are_shared_among_processes_and_stored_with_them(toy, capsys):
    marks = counted(toy, "second")
    assert toy.run("timing.processes=3", "timing.min_rounds=6", "timing.max_rounds=6") == 0
    assert len(list(marks.iterdir())) == 3
    for framework in ("first", "second"):
        record, arrays = stored(toy, framework)
        assert set(arrays["processes"]) == {0, 1, 2} and len(arrays["samples_s"]) == len(arrays["processes"]) >= 6
        assert record["timing"]["processes"] == 3 and record["timing"]["rounds"] == 6 and record["status"] == "ok"
    assert "Student's 95% interval" in " ".join(capsys.readouterr().out.split())


def test_wrong_answer_of_a_later_process_is_found(toy, capsys):
    counted(toy, "second", wrong_in=3)
    assert toy.run("timing.processes=3") == 1
    record, _ = stored(toy, "second")
    assert record["status"] == "invalid" and record["reason"].endswith("(in process 3)")
    assert stored(toy, "third")[0]["status"] == "ok"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no sched_setaffinity")
def test_workers_are_confined_to_the_asked_cores_and_the_parent_is_not(toy):
    usable = os.sched_getaffinity(0)
    counted(toy, "second")
    assert toy.run("timing.cores=1") == 0
    record, arrays = stored(toy, "second")
    assert record["timing"]["cores"] == 1 and int(arrays["output/cores"]) == 1
    assert os.sched_getaffinity(0) == usable
    assert toy.run() == 0
    sizes = {int(Store(toy.root / "results").load("toy", "total", one["key"])[1].get("output/cores", -1))
             for one in Store(toy.root / "results").records("toy", "total")
             if one["identity"]["framework"] == "second"}  # fmt: skip
    assert sizes == {1, len(usable)}


def test_confinement_ends_with_its_block_even_after_an_error():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no sched_setaffinity")
    usable = os.sched_getaffinity(0)
    with pytest.raises(RuntimeError), confined(1) as done:
        assert done and len(os.sched_getaffinity(0)) == 1
        raise RuntimeError
    assert os.sched_getaffinity(0) == usable
    with confined(None) as done:
        assert not done and os.sched_getaffinity(0) == usable


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("timing.processes=0", "timing.processes=0: must be a whole number of processes"),
        ("timing.processes=many", "timing.processes='many': must be a whole number of processes"),
        ("timing.cores=0", "timing.cores=0: must be a whole number of cores"),
        ("timing.cores=one", "timing.cores='one': must be a whole number of cores, from 1, or null"),
        ("timing.cores=4000", "timing.cores=4000: this machine has"),
    ],
)
def test_senseless_processes_and_cores_are_refused(toy, word, message):
    with pytest.raises(ConfigurationFaults) as caught:
        configure([word], toy.tree)
    assert message in str(caught.value)


def test_typed_timing_acts_on_tasks_with_timing_of_their_own(toy):
    path = toy.root / "configs/study/toy.yaml"
    block = "    baseline: first\n    timing: {processes: 3, budget_seconds: 7}\n"
    toy.write("configs/study/toy.yaml", path.read_text().replace("    baseline: first\n", block))

    def settings(*words):
        (configuration,) = configure(list(words), toy.tree)
        return configuration.timing.updated(configuration.tasks["total"]["timing"])

    assert (settings().processes, settings().budget_seconds) == (3, 7)
    typed = settings("timing.processes=5")
    assert (typed.processes, typed.budget_seconds) == (5, 7)
    assert settings("timing.processes=5", "study.tasks.total.timing.processes=4").processes == 4


def test_geometric_mean_over_processes_is_what_a_row_shows(toy):
    from pipelines.plan.plan import Problems, make_plan
    from pipelines.results.rows import read_rows

    words = ["timing.processes=2", "timing.min_rounds=4", "timing.max_rounds=4"]
    assert toy.run(*words) == 0
    record, arrays = stored(toy, "second")
    ratios = arrays["samples_s"] / arrays["baseline_samples_s"]
    expected = np.exp(np.mean([np.log(np.median(ratios[arrays["processes"] == process])) for process in (0, 1)]))
    from pipelines.testing.toy import FAST

    (configuration,) = configure([*FAST, *words], toy.tree)
    store = Store(toy.root / "results")
    rows = {row.framework: row for _, row in read_rows(make_plan(configuration, store, Problems(toy.tree)), store)}
    assert rows["second"].ratio == pytest.approx(expected, rel=1e-12)
    assert rows["second"].n_processes == 2 and rows["first"].ratio == 1.0
    assert rows["second"].record["key"] == record["key"]


def test_captions_say_how_times_were_made():
    from studies.base import Row, how_timed

    def row(n_rounds, n_processes, cores):
        values = {"study": "s", "task": "t", "framework": "f", "label": "F", "color": "red", "parameters": {}}
        samples = np.ones(n_rounds)
        return Row(**values, seed=0, device="cpu", status="ok", samples_s=samples, n_processes=n_processes, cores=cores)

    assert how_timed([]) is None and how_timed([row(0, 0, None)]) is None
    assert how_timed([row(12, 1, None)]) == "medians of 12 rounds"
    assert how_timed([row(15, 5, 1), row(15, 5, 1)]) == "medians of 15 rounds in 5 processes on 1 core"
    mixed = [row(12, 1, None), row(20, 3, 2), row(0, 0, None)]
    assert how_timed(mixed) == "medians of 12 to 20 rounds in 1 to 3 processes on 2 cores or all cores"


PLACED = """
import os
import numpy as np
from frameworks.base import Program

def total(framework, data, parameters):
    built_on = min(os.sched_getaffinity(0))
    def run(inputs):
        seen = {"built_on": np.asarray(built_on), "runs_on": np.asarray(min(os.sched_getaffinity(0)))}
        return {"total": np.asarray(inputs.sum(dtype=np.float32)), "process": np.asarray(os.getpid()), **seen}
    return Program(lambda seed: data["values"], run)
"""

two_cores = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two cores to choose from"
)


@two_cores
def test_processes_are_prepared_on_free_cores_and_run_on_those_of_the_race(toy, monkeypatch):
    toy.write("studies/toy/models/second.py", PLACED)
    seen = []
    outputs = Program.outputs
    monkeypatch.setattr(Program, "outputs", lambda *args: seen.append(outputs(*args)) or seen[-1])
    words = [
        "frameworks=[second]",
        "timing.processes=4",
        "timing.cores=1",
        "timing.max_rounds=4",
        "timing.min_rounds=4",
    ]
    assert toy.run(*words) == 0
    gated = seen[:4]
    assert len({int(one["process"]) for one in gated}) == 4
    assert len({int(one["runs_on"]) for one in [gated[0], *seen[4:]]}) == 1, "all race on one core"
    assert len(seen) > 4 and int(gated[0]["built_on"]) == int(gated[0]["runs_on"]), "the first is alone where it races"
    assert len({int(one["built_on"]) for one in gated[1:]}) == 2, "the others are spread over both"


WAITING = """
import os
import time
from pathlib import Path
import numpy as np
from frameworks.base import Program

FOLDER = Path({folder!r})
CALLS = 0

def total(framework, data, parameters):
    def run(inputs):
        global CALLS
        CALLS += 1
        (FOLDER / str(os.getpid())).touch()
        end = time.monotonic() + 60
        while CALLS == 2 and len(list(FOLDER.iterdir())) < 3:
            if time.monotonic() > end:
                raise RuntimeError("no other process was called meanwhile")
            time.sleep(0.01)
        return {{"total": np.asarray(inputs.sum(dtype=np.float32))}}
    return Program(lambda seed: data["values"], run)
"""


@two_cores
def test_further_calls_at_the_gate_run_beside_the_other_processes(toy, tmp_path):
    """The second call of the first process waits here until both of the others were called."""
    folder = tmp_path / "called"
    folder.mkdir()
    toy.write("studies/toy/models/second.py", WAITING.format(folder=str(folder)))
    problem = toy.root / "studies/toy/problem.py"
    text = problem.read_text()
    problem.write_text(text.replace('float(outputs["total"])', 'float(outputs["total"].mean())'))
    config = toy.root / "configs/study/toy.yaml"
    config.write_text(config.read_text().replace("baseline: first", "gate_calls: 3"))
    words = ["timing.processes=3", "timing.cores=1", "timing.max_rounds=5", "stages=[run]"]
    assert toy.run("frameworks=[second]", *words) == 0
    (record,) = [json.loads(path.read_text()) for path in toy.records()]
    assert record["status"] == "ok" and record["timing"]["processes"] == 3


@two_cores
def test_cores_are_borrowed_for_a_moment_and_never_those_of_another_run(tmp_path):
    usable = sorted(os.sched_getaffinity(0))[:2]
    one, two = (Cores(print, tmp_path / "locks", tmp_path) for _ in range(2))
    with confined(usable):
        with one.borrowed(1) as places:
            assert sorted(core for place in places for core in place) == usable
            assert places[0] == one.choose(1)
        with two.borrowed(1) as places:
            assert places == [two.choose(1)] != [one.choose(1)], "the other core is taken by the first run"
        two.release()
        with one.borrowed(2) as places:
            assert places == [usable], "no second set of two"
        with one.borrowed(0) as places:
            assert places == []
        one.release()


@two_cores
def test_what_fails_beside_others_is_raised_when_all_have_ended(tmp_path):
    ended = []

    def prepare(process, place=None):
        if process == 2:
            raise ContestantFailure("failed", "the second")
        ended.append(process)
        return process

    pool = WorkerPool(tmp_path)
    pool.cores = Cores(print, tmp_path / "locks", tmp_path)
    with confined(sorted(os.sched_getaffinity(0))[:2]):
        assert pool.beside(prepare, [1, 3], 1) == [1, 3]
        with pytest.raises(ContestantFailure, match="the second"):
            pool.beside(prepare, [1, 2, 3, 4], 1)
        assert sorted(ended) == [1, 1, 3, 3, 4]
        assert pool.beside(prepare, [5], None) == [5]
    pool.cores.release()


def test_nothing_starts_once_the_run_has_ended(toy, tmp_path):
    (configuration,) = configure(["study=toy"], toy.tree)
    with WorkerPool(tmp_path) as pool:
        pass
    with pytest.raises(ContestantFailure, match="the run has ended"):
        pool.get(describe("first", toy.tree), configuration, "float32")
