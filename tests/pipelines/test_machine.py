"""What the caller's machine and environment do to a run: it is in the key and on the record, and nothing is fatal."""

import errno
import os
import platform
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

from pipelines.config.configuration import configure
from pipelines.plan import fingerprint
from pipelines.plan.cells import races
from pipelines.plan.descriptions import describe
from pipelines.plan.tree import REPOSITORY
from pipelines.race import condition
from pipelines.results import helpers, machine, provenance
from pipelines.results.store import Store
from pipelines.testing import helpers as testing
from pipelines.workers import cores as module
from pipelines.workers.client import confined
from pipelines.workers.cores import Cores, rank


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def inputs(toy):
    (configuration,) = configure(["size=smoke"], toy.tree, study="toy")
    cell = races(configuration)[0].cells[0]
    return fingerprint.inputs(cell, configuration, describe("first", toy.tree), {})


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the variables are those of glibc's malloc")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_memory_stays_with_a_worker(device):
    """Arrays of 16 MB that were freed are made again without page faults, whatever was freed before."""
    program = """
        import ctypes
        import resource
        import numpy as np

        PR_SET_THP_DISABLE = 41  # huge pages, where the system happens to have some, make few faults of many
        assert ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0

        def faults():
            array = np.ones(1 << 21)
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

        before = faults()
        print(max(faults() for _ in range(20)) - before)
    """
    environment = yaml.safe_load((REPOSITORY / "configs/device" / f"{device}.yaml").read_text())["environment"]

    def faults_of_20_calls(variables):
        command = [sys.executable, "-c", textwrap.dedent(program)]
        return int(subprocess.run(command, env={**os.environ, **variables}, capture_output=True, check=True).stdout)

    assert faults_of_20_calls(environment) < 500
    assert faults_of_20_calls({"MALLOC_MMAP_THRESHOLD_": "65536"}) > 10_000, "otherwise nothing is shown"


@pytest.mark.parametrize(
    "name",
    ["XLA_FLAGS", "JAX_ENABLE_X64", "JAX_DEFAULT_PRNG_IMPL", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "TORCH_LOGS",
     "LD_PRELOAD", "OPENBLAS_NUM_THREADS", "JULIA_NUM_THREADS"],
)  # fmt: skip
def test_a_variable_that_acts_is_in_the_key_by_name(toy, monkeypatch, name):
    monkeypatch.delenv(name, raising=False)
    without = inputs(toy)
    monkeypatch.setenv(name, "1")
    with_it = inputs(toy)
    assert fingerprint.changed(without, with_it) == [f"variable {name} none -> 1"]
    assert fingerprint.key(without) != fingerprint.key(with_it)


def test_a_variable_that_the_harness_sets_itself_does_not_count(toy, monkeypatch):
    before = inputs(toy)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("EDITOR", "vi")
    assert inputs(toy) == before


def test_another_value_of_a_variable_measures_again_and_says_why(toy, capsys, monkeypatch):
    assert toy.run("stages=[run]", "frameworks=[first]") == 0
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
    capsys.readouterr()
    assert toy.run("stages=[run]", "frameworks=[first]") == 0
    assert "stale: variable XLA_FLAGS" in " ".join(capsys.readouterr().out.split())
    records = list(Store(toy.root / "results").records("toy", "total"))
    assert sorted("XLA_FLAGS" in one["provenance"]["thread_settings"] for one in records) == [False, True]
    assert sorted(one["order"] for one in records) == [1, 2]


ARM = "processor : 0\nCPU implementer : 0x41\nCPU part : {part}\n\n"


def test_two_arm_processors_do_not_share_a_name(tmp_path):
    names = {
        machine.cpu_model(write(tmp_path / part, **{"proc/cpuinfo": 2 * ARM.format(part=part)}))
        for part in ("0xd0c", "0xd40")
    }
    assert len(names) == 2 and all("implementer 0x41 part 0xd" in name for name in names)


def test_a_processor_without_a_name_is_known_by_its_host(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.platform, "node", lambda: "this-host")
    assert machine.cpu_model(tmp_path).endswith("of the host this-host")
    assert machine.cpu_model(write(tmp_path / "x", **{"proc/cpuinfo": "model name : Known\n"})) == "Known"


def test_apple_processors_tell_their_brand(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.sys, "platform", "darwin")
    with testing.program(tmp_path, "sysctl", "#!/bin/sh\n[ $2 = machdep.cpu.brand_string ] && echo 'Apple M9'\n"):
        assert machine.cpu_model(tmp_path / "no proc") == "Apple M9"


@pytest.mark.parametrize(
    ("cgroup", "files", "quota", "memory"),
    [
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000", "a/b/memory.max": "1073741824"},
         1.5, 2**30),
        ("0::/", {"cpu.max": "max 100000", "memory.max": "max"}, None, None),
        ("4:memory:/j\n1:cpu,cpuacct:/j", {"cpu,cpuacct/j/cpu.cfs_quota_us": "50000",
         "cpu,cpuacct/j/cpu.cfs_period_us": "100000", "memory/j/memory.limit_in_bytes": "2147483648"}, 0.5, 2**31),
        ("1:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000",
         "memory/memory.limit_in_bytes": "9223372036854771712"}, None, None),
    ],
)  # fmt: skip
def test_quota_and_memory_limit_of_a_container_are_read_from_either_version(tmp_path, cgroup, files, quota, memory):
    write(tmp_path, **{"proc/self/cgroup": cgroup}, **{f"sys/fs/cgroup/{name}": text for name, text in files.items()})
    assert machine.cpu_quota(tmp_path) == quota and machine.memory_limit_bytes(tmp_path) == memory


def test_a_quota_is_part_of_the_machine(monkeypatch):
    monkeypatch.setattr(machine, "cpu_quota", lambda system: 0.5)
    monkeypatch.setattr(machine, "memory_limit_bytes", lambda system: 2**28)
    assert machine.machine("cpu").endswith("quota of 0.5 cores, memory limit 0.25 GiB")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (testing.HANGS, "did not answer within 0.3 s"),
        (testing.FAILS, "fatal: out of order"),
        (testing.FOREIGN, "cannot be executed: Exec format error"),
        (testing.SILENT, "no commit"),
    ],
)
def test_a_broken_git_is_a_fact_on_the_record_and_not_fatal(toy, tmp_path_factory, content, reason):
    with testing.program(tmp_path_factory.mktemp("bin"), "git", content):
        assert toy.run("stages=[run]", "frameworks=[first]") == 0
    (record,) = Store(toy.root / "results").records("toy", "total")
    assert record["provenance"]["commit"]["id"] is None
    assert reason in record["provenance"]["commit"]["reason"]


def test_a_helper_is_asked_once(tmp_path):
    with testing.program(tmp_path, "asked", f"#!/bin/sh\necho x >> {tmp_path}/times; echo answer\n"):
        assert [helpers.ask("asked").text for _ in range(3)] == ["answer"] * 3
    assert (tmp_path / "times").read_text() == "x\n"


def test_a_broken_nvidia_smi_ends_a_cuda_run_with_its_reason(toy, tmp_path_factory, capsys):
    with testing.program(tmp_path_factory.mktemp("bin"), "nvidia-smi", testing.HANGS):
        assert toy.run("device=cuda") == 2
    assert "nvidia-smi: did not answer within 0.3 s" in capsys.readouterr().err


SMI = """#!/bin/sh
case "$1" in
  --query-gpu=name,driver_version) echo "NVIDIA H200, 570.1";;
  --query-gpu=index,name,*)
    echo x >> {times}
    echo "0, NVIDIA H200, 570.1, 143771, 512, 1980, 3201, 1980, 41, 118.25, 97"
    echo "1, NVIDIA H200, 570.1, 143771, 0, 345, 3201, 1980, [N/A], [N/A], 0";;
  *) echo "unknown question: $1" >&2; exit 6;;
esac
"""


def test_clocks_temperature_and_memory_of_gpus_are_recorded_as_they_are_now(tmp_path):
    with testing.program(tmp_path, "nvidia-smi", SMI.format(times=tmp_path / "times"), limit_seconds=10):
        where = provenance.provenance(tmp_path, {}, "cuda")
        assert provenance.provenance(tmp_path, {}, "cpu")["gpu_states"] == []
        machine.gpu_states()
    assert where["gpus"] == ["NVIDIA H200, driver 570.1"]
    first, second = where["gpu_states"]
    assert first.keys() == machine.GPU_FACTS.keys() and first["driver"] == "570.1"
    assert (first["sm_clock_mhz"], first["most_sm_clock_mhz"], first["memory_clock_mhz"]) == (1980, 1980, 3201)
    assert (first["temperature_c"], first["power_w"], first["memory_used_mib"]) == (41, 118.25, 512)
    assert (second["index"], second["sm_clock_mhz"], second["temperature_c"], second["power_w"]) == (1, 345, None, None)
    assert (tmp_path / "times").read_text() == "x\nx\n", "asked anew each time, and never for a CPU"


@pytest.mark.parametrize("script", [testing.FAILS, testing.SILENT, testing.HANGS, testing.FOREIGN])
def test_a_tool_that_tells_nothing_of_gpus_leaves_the_record_without(tmp_path, script):
    with testing.program(tmp_path, "nvidia-smi", script):
        assert machine.gpu_states() == []


def test_a_foreign_system_whose_version_cannot_be_asked_is_skipped_with_the_reason(toy, tmp_path_factory, capsys):
    toy.framework("second", 'command = ("strange", "worker")\nversion_command = ("strange", "--version")')
    with testing.program(tmp_path_factory.mktemp("bin"), "strange", testing.FOREIGN):
        assert toy.run("frameworks=[first,second]") == 0
    assert "strange: cannot be executed: Exec format error" in capsys.readouterr().out


def git(folder, *words):
    settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    subprocess.run(["git", *settings, *words], cwd=folder, check=True, capture_output=True, env=clean)


@pytest.fixture
def repository(tmp_path):
    testing.forget()
    folder = write(tmp_path / "repository", **{"code.py": "1"})
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    yield folder
    testing.forget()


def test_a_git_hook_of_another_repository_does_not_change_the_commit(repository, tmp_path, monkeypatch):
    own = provenance.commit(repository)["id"]
    other = write(tmp_path / "other", x="2")
    git(other, "init", "-q")
    git(other, "add", ".")
    git(other, "commit", "-qm", "other")
    testing.forget()
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert own is not None and provenance.commit(repository) == {"id": own, "dirty": False}


def test_an_archive_inside_another_repository_has_no_commit(repository):
    unpacked = write(repository / "unpacked", **{"code.py": "1"})
    assert provenance.commit(unpacked) == {
        "id": None, "dirty": None, "reason": "not a checkout: the folder lies inside another repository",
    }  # fmt: skip


def test_output_inside_the_checkout_is_no_change_but_a_new_source_is(repository):
    write(repository, **{"out/results/a.json": "1", "figs/a.png": "2"})
    outputs = (repository / "out", repository / "figs", repository.parent / "elsewhere")
    assert provenance.commit(repository, outputs)["dirty"] is False
    assert provenance.commit(repository)["dirty"] is True
    testing.forget()
    write(repository, **{"frameworks/new.py": "3"})
    assert provenance.commit(repository, outputs)["dirty"] is True


def test_dubious_ownership_is_said(tmp_path, repository):
    text = "#!/bin/sh\necho \"fatal: detected dubious ownership in repository at '/x'\" >&2\nexit 128\n"
    (tmp_path / "bin").mkdir()
    with testing.program(tmp_path / "bin", "git", text):
        assert "dubious ownership" in provenance.commit(repository)["reason"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no sched_setaffinity")
def test_a_refused_choice_of_cores_is_flagged_and_not_fatal(toy, monkeypatch, capsys):
    def refuse(process, cores):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    with confined([0]) as done:
        assert not done
    assert toy.run("stages=[run]", "frameworks=[first]", "timing.cores=1") == 0
    assert "does not let a program choose its cores" in " ".join(capsys.readouterr().out.split())


def processor(root, speeds, siblings=None):
    for core, speed in enumerate(speeds):
        folder = f"sys/devices/system/cpu/cpu{core}"
        write(root, **{f"{folder}/cpufreq/cpuinfo_max_freq": str(speed)})
        if siblings:
            write(root, **{f"{folder}/topology/thread_siblings_list": siblings[core]})
    return root


def test_cores_are_idle_fast_and_distinct_ones(tmp_path):
    hybrid = processor(tmp_path, [5000, 5000, 5000, 5000, 3000, 3000], ["0-1", "0-1", "2-3", "2-3", "4", "5"])
    assert rank(range(6), {}, hybrid) == [3, 1, 5, 4, 2, 0], "the slow last cores come after the fast ones"
    assert rank(range(6), {3: 0.2, 2: 0.99}, hybrid)[:2] == [2, 1] and rank(range(6), {3: 0.2}, hybrid)[-1] == 3
    assert rank(range(3), {}, tmp_path / "unknown") == [2, 1, 0]


def test_two_runs_take_distinct_cores_and_say_when_there_are_not_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.0)
    said = []
    one, two = (Cores(said.append, tmp_path / "locks", processor(tmp_path, [1, 1, 1])) for _ in range(2))
    assert one.announce() and not two.announce() and "Another run measures" in said.pop()
    first, second = one.choose(1), two.choose(1)
    assert first == [2] and second == [1] and said == []
    assert one.choose(1) == first, "the same ones for every system"
    third = Cores(said.append, tmp_path / "locks", tmp_path)
    assert 0 in third.choose(2) and "they are shared" in said.pop()
    one.release()
    two.release()
    third.release()
    last = Cores(said.append, tmp_path / "locks", tmp_path)
    assert last.choose(2) == [1, 2] and said == []
    last.release()


def test_work_of_this_program_between_the_blocks_is_not_that_of_others(monkeypatch):
    """The harness judges outputs of a million particles for seconds, on cores that race a moment later."""

    class Worker:
        pid, cores, used = 1, (0,), 0.0

        def cpu_seconds(self):
            return self.used

    def reading(busy, total):
        return condition.Condition((), None, None, None, None, {0: (busy, total)})

    worker, readings, own = Worker(), iter([reading(0, 0), reading(9.0, 20.0)]), [1.0]
    monkeypatch.setattr(condition, "read", lambda cores: next(readings))
    monkeypatch.setattr("time.process_time", lambda: own[0])
    watch = condition.Watch([worker])
    worker.used, own[0] = 5.0, 4.0
    assert watch.facts()["contention"] == pytest.approx((9 - 5 - 3) / 20)


def test_condition_of_the_machine_is_read_and_flagged(tmp_path):
    cpu = "sys/devices/system/cpu/cpu0"
    stat = "cpu 0\ncpu0 {busy} 0 0 {idle} 0 0 0 0\n"
    tick = os.sysconf("SC_CLK_TCK")
    files = {
        f"{cpu}/cpufreq/scaling_governor": "powersave\n",
        f"{cpu}/cpufreq/scaling_cur_freq": "3000000\n",
        f"{cpu}/thermal_throttle/core_throttle_count": "4",
        "sys/devices/system/cpu/intel_pstate/no_turbo": "0",
        "proc/self/cgroup": "0::/",
        "sys/fs/cgroup/cpu.stat": "nr_periods 10\nnr_throttled 2\n",
        "proc/stat": stat.format(busy=0, idle=0),
    }
    before = condition.read([0], write(tmp_path, **files))
    write(
        tmp_path,
        **{
            f"{cpu}/cpufreq/scaling_cur_freq": "2000000",
            f"{cpu}/thermal_throttle/core_throttle_count": "6",
            "sys/fs/cgroup/cpu.stat": "nr_periods 20\nnr_throttled 7\n",
            "proc/stat": stat.format(busy=8 * tick, idle=2 * tick),
        },
    )
    told = condition.facts(before, condition.read([0], tmp_path), own_cpu_seconds=6.0)
    assert told == {
        "governors": ["powersave"], "turbo": True, "mhz_before": 3000.0, "mhz_after": 2000.0, "throttled_periods": 5,
        "thermal_throttles": 2, "contention": pytest.approx(0.2),
    }  # fmt: skip
    said = " ; ".join(condition.flags(told))
    for part in (
        "governor is powersave",
        "from 3000 to 2000 MHz",
        "back in 5 periods",
        "CPU 2 times",
        "others used 20%",
    ):
        assert part in said
    nothing = condition.read([0], tmp_path / "elsewhere")
    assert condition.flags(condition.facts(nothing, nothing, None)) == []
