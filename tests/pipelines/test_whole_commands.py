"""Faults met by a whole command, from its words to its exit status: what the user is shown, and what is left."""

import json
import random
import shutil
import subprocess
import sys

import pytest

from pipelines.output import comparison
from pipelines.plan.tree import REPOSITORY
from pipelines.race.timing import ContestantFailure
from pipelines.results.merge import merge
from pipelines.results.store import Store
from pipelines.testing import disks
from pipelines.testing.scripted_worker import scripted
from pipelines.testing.toy import Toy
from pipelines.workers.client import WorkerClient
from tests.pipelines.test_misbehaving_workers import mangled
from tests.pipelines.test_surroundings import command, surroundings

DEAF = """
import json, sys, time
hello = json.loads(sys.stdin.readline())
print(json.dumps({"id": hello["id"], "ok": True, "protocol": 2, "framework": "first", "pid": 1, "import_s": 0.1,
                  "device_name": "", "versions": {}, "unavailable": None, "repeatable": True}), flush=True)
time.sleep(120)
"""


def statuses(toy: Toy, results: str = "results") -> dict[str, str]:
    records = Store(toy.root / results).records("toy", "total")
    return {record["identity"]["framework"]: record["status"] for record in records}


# ---- workers


@pytest.mark.parametrize("size", [100, 2**16 + 1, 4 * 2**20])
def test_request_of_any_length_to_a_worker_that_reads_nothing_is_a_timeout(toy, size):
    """A pipe holds 64 KiB: one byte more, and a plain write would wait for ever for the worker to read."""
    path = toy.write("deaf.py", DEAF)
    toy.framework("first", f"command = ({sys.executable!r}, {str(path)!r})")
    worker = WorkerClient(toy.tree.describe("first"), toy.tree, {}, toy.root / "log")
    try:
        worker.request("hello", 30.0)
        with pytest.raises(ContestantFailure, match=r"`prepare` took longer than its limit of 0\.5 s") as failure:
            worker.request("prepare", 0.5, padding="x" * size)
        assert failure.value.status == "timeout" and not worker.alive
    finally:
        worker.kill()


def test_mangled_greetings_fail_their_own_systems_alone(toy, capsys):
    """Forty systems, each with a greeting of its own kind of wrong, beside one that is honest."""
    names = [f"hello_{number:02}" for number in range(40)]
    for name in names:
        toy.framework(name)
        toy.model(name)
    config = (toy.root / "configs/study/toy.yaml").read_text()
    toy.write("configs/study/toy.yaml", config.replace("[first, second, third]", f"[{', '.join(['first', *names])}]"))
    changed = {}

    def script(name):
        generator = random.Random(name)

        def misbehave(operation, line):
            if operation != "hello":
                return line
            broken = mangled(line, generator).replace(b"\n", b" ")
            changed[name] = broken != line
            return broken

        return misbehave

    with scripted({name: script(name) for name in names}):
        assert toy.run("stages=[run]", "timing.calls=1") == 1
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    found = statuses(toy)
    assert found.keys() == {"first", *names} and found["first"] == "ok"
    assert sum(changed.values()) > 25
    for name in names:
        assert found[name] in ("ok", "failed", "skipped") and (found[name] == "ok" or changed[name]), name
    assert sum(found[name] == "failed" for name in names) > 15


def test_variable_that_a_library_refuses_is_named_in_the_reason(tmp_path):
    """XLA ends the process over a flag that it does not know, and says so only in the worker's log."""
    done = subprocess.run(
        [
            sys.executable, "-m", "pipelines", "study=faircoin", "size=smoke", "frameworks=[handcoded_jax]",
            "stages=[run]", f"results={tmp_path}",
        ],
        cwd=REPOSITORY, env=surroundings(XLA_FLAGS="--garbage"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    (record,) = Store(tmp_path).records("faircoin", "importance_sampling")
    assert record["status"] == "failed" and "--garbage" in record["reason"]
    assert "--garbage" in done.stdout


# ---- the store


def test_flipped_bits_are_measured_again_and_nothing_else_is_touched(toy, capsys):
    """One random bit in each of thirty records of sixty; one run mends them all."""
    config = (toy.root / "configs/study/toy.yaml").read_text()
    toy.write("configs/study/toy.yaml", config.replace("baseline: first", "baseline: first\n    replicates: 20"))
    words = ("stages=[run]", "timing.calls=1", "timing.warmup_blocks=0")
    honest = {name: lambda operation, line: line for name in ("first", "second", "third")}
    with scripted(honest):
        assert toy.run(*words) == 0
        before = {path: path.read_bytes() for path in toy.records()}
        assert len(before) == 60
        generator = random.Random(3)
        chosen = generator.sample(sorted(before), 30)
        for path in chosen:
            turned = bytearray(path.read_bytes())
            turned[generator.randrange(len(turned))] ^= 1 << generator.randrange(8)
            path.write_bytes(turned)
        capsys.readouterr()
        assert toy.run(*words) == 0
        shown = capsys.readouterr()
        assert "Traceback" not in shown.out + shown.err
        corrupt = shown.out.count("orrupt record") + shown.err.count("orrupt record")
        # A bit that turns one white space of the JSON into another goes unnoticed, and changes nothing.
        assert corrupt >= 25
        assert toy.run(*words) == 0
        assert "Nothing to measure" in capsys.readouterr().out
    # A race needs its baseline, so whatever shares a race with a corrupt record may be measured again; no other is.
    races = {(one["identity"]["seed"], one["identity"].get("instance", 0)) for one in map(json.loads, before.values())}
    assert len(races) == 20
    after = Store(toy.root / "results")
    found = list(after.records("toy", "total"))
    assert len(found) == 60 and all(record["status"] == "ok" for record in found)
    assert all(float(after.load("toy", "total", record["key"])[1]["output/total"]) == 3 for record in found)


def test_full_disk_in_mid_run_is_one_line_and_keeps_what_is_there(toy, capsys):
    assert toy.run("stages=[run]", "frameworks=[first]") == 0
    (path,) = toy.records()
    before = path.read_bytes()
    capsys.readouterr()
    with disks.full_disk():
        assert toy.run("stages=[run]") == 1
    shown = capsys.readouterr()
    assert "is full" in shown.err and "Traceback" not in shown.out + shown.err
    assert path.read_bytes() == before
    assert toy.run("stages=[run]") == 0
    assert statuses(toy) == {"first": "ok", "second": "ok", "third": "ok"}


# ---- one round is not certainty


def test_two_runs_of_one_round_cannot_be_told_apart(toy, tmp_path, capsys):
    toy.model("second", before="sum(range(20000))")
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        assert toy.run("stages=[run]", "timing.min_rounds=1", "timing.max_rounds=1", f"results={folder}") == 0
        toy.model("second", before="sum(range(200000))")  # ten times as much work the second time
    assert comparison.main([*map(str, folders), "--strict", "--page", str(tmp_path / "page")]) == 0
    shown = capsys.readouterr().out
    assert "3 cannot tell" in shown
    assert not any(f"{number} {word}" in shown for number in (1, 2, 3) for word in ("faster", "slower"))


def test_comparison_in_a_log_cuts_no_name(toy, tmp_path):
    long = "a_system_whose_name_is_longer_than_any_column_of_a_narrow_terminal_would_be_so_that_it_would_be_cut"
    toy.framework(long)
    toy.model(long)
    config = (toy.root / "configs/study/toy.yaml").read_text()
    toy.write("configs/study/toy.yaml", config.replace("[first, second, third]", f"[first, {long}]"))
    assert toy.run("stages=[run]") == 0
    words = [sys.executable, "-m", "pipelines.output.comparison", "results", "results", "--page", str(tmp_path / "p")]
    done = subprocess.run(
        words, cwd=toy.root, env=surroundings(COLUMNS="60"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"toy/total {long}" in done.stdout and "…" not in done.stdout and "\x1b" not in done.stdout


# ---- figures


@pytest.mark.parametrize("setting", ["text.usetex: true", "savefig.dpi: 20", "axes.prop_cycle: cycler(color=['w'])"])
def test_matplotlibrc_changes_no_figure(toy, tmp_path, setting):
    assert toy.run("frameworks=[first]") == 0
    (plain,) = (toy.root / "figs").rglob("toy_times_points3.png")
    settings = tmp_path / "matplotlibrc"
    settings.write_text(setting + "\n")
    figs = tmp_path / "figs of the user"
    done = subprocess.run(
        command(toy, "frameworks=[first]", "stages=[figures]", f"figs='{figs}'"), cwd=toy.root,
        env=surroundings(MATPLOTLIBRC=str(settings)), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (figs / plain.name).read_bytes() == plain.read_bytes()


def test_figure_of_rows_of_two_machines_names_both(toy, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    assert toy.run("stages=[run]", "frameworks=[first]", f"results={here}") == 0
    assert toy.run("stages=[run]", "frameworks=[second]", f"results={there}") == 0
    (path,) = there.glob("toy/total/*/record.json")
    record, arrays = Store(there).load("toy", "total", path.parent.name)
    record["provenance"] |= {"cpu": "An Older Chip", "usable_cores": 64}
    record["inputs"]["machine"] = "elsewhere"
    record["key"] = "0" * 24
    other = Store(tmp_path / "other")
    other.save(record, arrays)
    assert merge([other], Store(here)).added == 1
    figs = tmp_path / "figs"
    toy.run("stages=[figures]", "frameworks=[first,second]", f"results={here}", f"figs={figs}")
    facts = json.loads((figs / "toy_times_points3.json").read_text())
    assert " and " in facts["device_name"] and "An Older Chip, 64 cores" in facts["device_name"]
    flags = {row["framework"]: row["flags"] for row in facts["rows"]}
    assert "measured on another machine: elsewhere" in flags["second"]
    assert not any("another machine" in flag for flag in flags["first"])


# ---- a clone


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_clone_with_the_line_ends_of_windows_has_those_of_unix(tmp_path):
    """Our own `.gitattributes` over some of our own scripts, in a clone by a git that converts."""
    source, clone = tmp_path / "source", tmp_path / "clone"
    source.mkdir()
    names = ("run", "pixi.toml", ".ci/run", "README.md", "julia/worker.jl")
    names = tuple(name for name in names if (REPOSITORY / name).exists())
    for name in (".gitattributes", *names):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, source / name)
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=source, check=True, capture_output=True)
    converting = ("-c", "core.autocrlf=true", "-c", "core.eol=crlf")
    subprocess.run(["git", *converting, "clone", "-q", str(source), str(clone)], check=True, capture_output=True)
    assert len(names) >= 4
    assert [name for name in names if b"\r" in (clone / name).read_bytes()] == []
    (clone / "plain.txt").write_bytes(b"a\r\nb\r\n")  # and what such an editor adds is stored with those of Unix
    subprocess.run(["git", *converting, "add", "plain.txt"], cwd=clone, check=True, capture_output=True)
    stored = subprocess.run(["git", "show", ":plain.txt"], cwd=clone, check=True, capture_output=True).stdout
    assert stored == b"a\nb\n"
