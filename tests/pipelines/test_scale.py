"""Large plans and small machines: work that many cells share is done once, and memory that is not there is refused."""

import pytest

from pipelines.config.configuration import configure
from pipelines.plan import fingerprint, tree
from pipelines.plan.plan import Problems, make_plan
from pipelines.results.store import Store
from pipelines.workers import memory
from tests.pipelines.test_machine import write


def planned(toy, replicates):
    text = (toy.root / "configs/study/toy.yaml").read_text()
    own = "".join(line for line in text.splitlines(keepends=True) if "replicates" not in line)
    own = own.replace("    baseline: first\n", f"    baseline: first\n    replicates: {replicates}\n")
    toy.write("configs/study/toy.yaml", own)
    (configuration,) = configure(["size=smoke"], toy.tree, study="toy")
    return make_plan(configuration, Store(toy.root / "results"), Problems(toy.tree))


def test_a_plan_reads_each_source_as_often_for_1800_cells_as_for_three(toy, monkeypatch):
    """Otherwise a plan of 24,000 cells takes minutes."""
    calls = []
    for module, name in [(tree, "_parsed"), (fingerprint, "source_digest"), (fingerprint, "data_digest"),
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
