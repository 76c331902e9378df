"""Large plans and small machines: work that many cells share is done once, and memory that is not there is refused."""

import pytest

from pipelines.config.configuration import configure
from pipelines.plan import fingerprint, tree
from pipelines.plan.plan import Problems, make_plan
from pipelines.results.store import Store
from pipelines.workers import memory
from pipelines.workers.pool import WorkerPool
from tests.pipelines.test_machine import write


def with_replicates(toy, replicates):
    text = (toy.root / "configs/study/toy.yaml").read_text()
    own = "".join(line for line in text.splitlines(keepends=True) if "replicates" not in line)
    own = own.replace("    baseline: first\n", f"    baseline: first\n    replicates: {replicates}\n")
    toy.write("configs/study/toy.yaml", own)


def planned(toy, replicates):
    with_replicates(toy, replicates)
    (configuration,) = configure(["size=smoke"], toy.tree, study="toy")
    return make_plan(configuration, Store(toy.root / "results"), Problems(toy.tree))


def test_a_plan_reads_each_source_as_often_for_1800_cells_as_for_three(toy, monkeypatch):
    """Otherwise a plan of 24,000 cells takes minutes."""
    planned(toy, 1)  # functions of files that have not changed are remembered
    calls = []
    for module, name in [(tree, "parsed"), (fingerprint, "source_digest"), (fingerprint, "data_digest"),
                         (fingerprint, "machine"), (fingerprint, "versions")]:  # fmt: skip
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, real=real, name=name: calls.append(name) or real(*given))
    assert len(planned(toy, 1).cells) == 3
    few = sorted(calls)
    calls.clear()
    plan = planned(toy, 600)
    assert len(plan.cells) == 1800 and len({one.key for one in plan.cells}) == 1800
    assert sorted(calls) == few


def test_shared_inputs_are_those_of_each_cell(toy):
    plan = planned(toy, 2)
    for one in plan.cells:
        data = Problems(toy.tree).get("toy", one.cell.parameters).data
        assert fingerprint.inputs(one.cell, plan.configuration, one.description, data) == one.inputs


def test_memory_that_is_available_is_the_least_of_machine_and_container(tmp_path):
    meminfo = {"proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable:  4000000 kB\n"}
    assert memory.available_bytes(write(tmp_path, **meminfo)) == 4_000_000 * 1024
    cgroup = {"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "3000", "sys/fs/cgroup/memory.current": "1000"}
    assert memory.available_bytes(write(tmp_path, **cgroup)) == 2000
    assert memory.available_bytes(tmp_path / "elsewhere") is None


def test_workers_that_live_at_once_are_counted():
    first = [("genjax", 0), ("genjax", 1), ("torch", 0)]
    assert memory.most_at_once([(1, first), (1, [("genjax", 0), ("tfp", 0)])]) == ["genjax", "genjax", "torch", "tfp"]
    assert memory.most_at_once([(1, first), (2, first[:1])]) == ["genjax", "genjax", "torch"]
    assert memory.expected_bytes(("numpy",)) < memory.expected_bytes(("jax", "numpy")) == memory.expected_bytes(())
    assert memory.needed_bytes(["genjax", "torch"], {"torch": 5}) == memory.WORKER_BYTES + 5


def test_a_run_says_what_it_needs_and_refuses_before_anything_starts(toy, capsys, monkeypatch):
    assert toy.run("stages=[run]", "timing.processes=2", "frameworks=[first,second]") == 0
    assert "4 workers at once, about 0.2 GB of memory" in capsys.readouterr().out
    monkeypatch.setattr(memory, "available_bytes", lambda: 10**6)
    assert toy.run("stages=[run]", "frameworks=[third]") == 1
    error = capsys.readouterr().err
    assert "needs 1 workers at once" in error and "Nothing was run" in error
    assert len(toy.records()) == 2


def test_a_record_tells_the_condition_of_the_machine_around_its_race(toy):
    assert toy.run("stages=[run]", "frameworks=[first]", "timing.cores=1") == 0
    (record,) = Store(toy.root / "results").records("toy", "total")
    assert record["condition"].keys() >= {"cores", "governors", "turbo", "mhz_before", "mhz_after", "contention"}
    assert len(record["condition"]["cores"]) == 1


@pytest.mark.parametrize("flag", ["the CPU governor is powersave", "others used 40% of its cores"])
def test_the_condition_is_flagged_on_the_row(toy, capsys, monkeypatch, flag):
    from pipelines.race import condition

    told = {"governors": ["powersave"], "contention": 0.4}
    monkeypatch.setattr(condition, "facts", lambda *_: told)
    assert toy.run("stages=[run]", "frameworks=[first]") == 0
    assert flag in " ".join(capsys.readouterr().out.split())


def test_processes_live_in_as_few_waves_as_memory_allows():
    race = [(name, process) for name in ("genjax", "torch") for process in range(5)]
    other = [("tfp", process) for process in range(3)]
    size = memory.WORKER_BYTES

    def at_once(workers):
        return memory.room([(1, race), (1, other)], {}, workers * size).at_once

    assert [at_once(workers) for workers in (13, 12, 10, 9, 6, 4, 3, 2)] == [None, 5, 5, 4, 3, 2, 1, 1]
    with pytest.raises(memory.NotEnoughMemory, match="needs 2 workers at once"):
        at_once(1)
    assert memory.room([(1, race)], {}, None).at_once is None


def test_a_race_without_room_for_all_processes_runs_in_waves(toy, capsys, monkeypatch):
    alive = []
    start = WorkerPool._start

    def counted(pool, *given):
        worker = start(pool, *given)
        alive.append(sum(one.alive for one in pool._workers.values()) + 1)
        return worker

    monkeypatch.setattr(WorkerPool, "_start", counted)
    monkeypatch.setattr(memory, "available_bytes", lambda: 3 * memory.LIGHT_WORKER_BYTES)
    toy.model("third", before="import time; time.sleep(0.001)")
    words = ("timing.processes=3", "timing.min_rounds=6", "timing.max_rounds=6")
    assert toy.run("stages=[run]", *words) == 0
    assert "1 of 3 processes of each system live at a time" in capsys.readouterr().out
    assert len(alive) == 9 and max(alive) == 3
    store = Store(toy.root / "results")
    for record in store.records("toy", "total"):
        _, arrays = store.load("toy", "total", record["key"])
        assert record["status"] == "ok" and record["timing"]["processes"] == 3
        assert record["timing"]["timed_calls"]["judged"] == 3
        assert arrays["processes"].tolist() == sorted(arrays["processes"]) and set(arrays["processes"]) == {0, 1, 2}
        assert (arrays["baseline_samples_s"] > 0).all(), "paired inside each wave"


def test_a_contestant_that_fails_in_a_later_wave_leaves_the_others(toy, capsys, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 3 * memory.LIGHT_WORKER_BYTES)
    seen = repr(str(toy.root / "seen"))
    note = f"import os; open({seen}, 'a').write(str(os.getpid()) + chr(10))"
    toy.model("second", before=f"{note}; assert len(set(open({seen}))) == 1, 'not in a second process'")
    assert toy.run("stages=[run]", "timing.processes=2") == 1
    status = {
        one["identity"]["framework"]: one["status"] for one in Store(toy.root / "results").records("toy", "total")
    }
    assert status == {"first": "ok", "second": "failed", "third": "ok"}
    assert "not in a second process" in capsys.readouterr().out
