"""A worker that is not Python, as the pipeline sees it: a scripted `julia` on the PATH that speaks the protocol.

The script answers as `julia/worker.jl` must: replies on standard output alone, arrays as `.npy` files, reasons where it
cannot serve. What it computes is right (or wrong, where a test says so), so the rows are those of a real system.
"""

import json
import os
import stat
import sys

import pytest

from pipelines.cli import main
from pipelines.plan.tree import REPOSITORY

JULIA = """#!{python}
import json, sys, time
import numpy as np

if "--version" in sys.argv:
    print("julia version 1.9.4")
    raise SystemExit
flags = ["--startup-file=no", "--threads=1", "--project=julia"]
assert sys.argv[1:6] == [*flags, "julia/worker.jl", "--framework"], sys.argv
name, mode = sys.argv[6], {mode!r}
programs = {{}}


def importance(data, parameters, seed):
    random = np.random.default_rng(seed)
    thetas = random.standard_normal((parameters["n_particles"], 3))
    means = thetas @ np.stack([data["xs"] ** k for k in range(3)]).astype(float)
    z = (data["ys"] - means) / data["noise_sd"]
    weights = (-0.5 * z**2 - np.log(data["noise_sd"] * np.sqrt(2 * np.pi))).sum(axis=1)
    if mode == "prior counted":
        weights = weights - 0.5 * (thetas**2).sum(axis=1)
    return {{**dict(zip("abc", thetas.T)), "log_weights": weights}}


def frozen(data, parameters, seed):
    shape = (parameters["n_chains"], parameters["n_samples"])
    states = {{name: np.full(shape, value, float) for name, value in zip("abc", data["start"])}}
    return {{**states, "log_density": np.zeros(shape)}}


def digests(outputs):
    facts = {{"dtype": "float64", "nan": 0, "infinite": 0}}
    return {{key: {{"shape": list(value.shape), "values": value.size, "checksum": float(value.sum()),
                  "magnitude": float(abs(value).sum()), **facts}} for key, value in outputs.items()}}


def answer(request):
    op, handle = request["op"], request.get("handle")
    if op == "hello":
        if mode == "not installed":
            return {{"ok": False, "status": "skipped", "reason": "Gen.jl is not installed, and that needs a network"}}
        if mode == "too old":
            return {{"ok": False, "status": "skipped", "reason": "Julia 1.5.3 is too old for Gen.jl here"}}
        return {{"protocol": 2, "repeatable": False, "framework": name, "pid": 1, "import_s": 0.5, "unavailable": None,
                "versions": {{"julia": "1.9.4"}}, "device_name": ""}}
    if op == "prepare" and "model" in request:
        assert request["model"].endswith("studies/perfbench/models/genjl.jl")
        data = {{key: np.load(path) for key, path in request["data"].items()}}
        task = frozen if request["task"] == "hmc" else importance
        programs[handle] = [lambda seed: task(data, request["parameters"], seed), request["seed"], None]
        return {{"phases": {{}}, "cost": {{}}, "notes": {{"dtype": "float64"}}, "seconds": 1e-6}}
    if op == "prepare":
        programs[handle][1] = request["seed"]
        return {{"seconds": 1e-6}}
    memory = {{"peak_host_bytes": 1, "peak_device_bytes": None}}
    if op == "gate":
        print("noise on standard error", file=sys.stderr)
        if mode == "junk":
            print("noise on standard output")
        if mode == "fails":
            return {{"ok": False, "status": "failed", "reason": "DomainError with -1.0", "traceback": None}}
        if "call" in request:
            assert request["call"] == 0, "no other call can be repeated"
            programs[handle][1] = request["seed"]
        programs[handle][2] = outputs = programs[handle][0](programs[handle][1])
        return {{"first_call_s": 0.001, "outputs": digests(outputs), **memory}}
    if op == "outputs":
        written = {{}}
        for key, value in programs[handle][2].items():
            written[key] = request["folder"] + "/" + key + ".npy"
            np.save(written[key], value)
        return {{"arrays": written}}
    if op == "time":
        if mode == "dies":
            raise SystemExit(3)
        first, start = programs[handle][1], time.perf_counter()
        kept, last = (programs[handle][0](first + call) for call in (request["keep"], request["calls"] - 1))
        programs[handle][2] = kept
        seen = {{"kept": digests(kept), "last": digests(last)}}
        return {{"seconds": time.perf_counter() - start, "late_s": 0.0, **seen, **memory}}
    return {{}}


for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({{"id": request["id"], "ok": True, **answer(request)}}), flush=True)
    if request["op"] == "quit":
        open({quits!r}, "a").write(name + "\\n")
        break
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs perfbench with that `julia`; returns exit status, rows by (task, framework), and the summary as text."""

    def start(mode, *words):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        script = folder / "julia"
        script.write_text(JULIA.format(python=sys.executable, mode=mode, quits=str(tmp_path / "quits")))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        results = tmp_path / "results"
        status = main(
            [
                "size=smoke",
                "frameworks=[genjl,genjl_static]",
                f"results={results}",
                f"figs={tmp_path / 'figs'}",
                *words,
            ],
            study="perfbench",
        )
        records = [json.loads(path.read_text()) for path in results.glob("perfbench/*/*/record.json")]
        rows = {(one["identity"]["task"], one["identity"]["framework"]): one for one in records}
        return status, rows, tmp_path

    assert (REPOSITORY / "julia" / "worker.jl").is_file()
    return start


def test_both_languages_of_gen_are_rows_with_proven_answers(run):
    status, rows, folder = run("right", "tasks=[importance_sampling]")
    assert status == 0
    assert set(rows) == {("importance_sampling", "genjl"), ("importance_sampling", "genjl_static")}
    for row in rows.values():
        assert row["status"] == "ok"
        assert row["notes"]["dtype"] == "float64"
        assert row["timing"]["rounds"] >= 3
    assert (folder / "figs" / "perfbench_cpu_benchmark_timings_is_all_frameworks.pdf").stat().st_size > 0
    text = (folder / "results" / "perfbench" / "export_cpu" / "benchmark_summary_cpu.csv").read_text()
    assert "genjl_static,is,published,50,1000" in text
    assert {"genjl", "genjl_static"} == set((folder / "quits").read_text().split()), "workers are asked to end"


def test_wrong_answers_from_another_language_are_invalid(run):
    status, rows, _ = run("prior counted", "tasks=[importance_sampling,hmc]")
    assert status == 1
    assert {row["status"] for row in rows.values()} == {"invalid"}
    assert "log_weights differ" in rows["importance_sampling", "genjl"]["reason"]
    assert "4 of 4 chains stand still" in rows["hmc", "genjl"]["reason"]


@pytest.mark.parametrize(
    ("mode", "status", "reason"),
    [
        ("not installed", "skipped", "Gen.jl is not installed, and that needs a network"),
        ("too old", "skipped", "Julia 1.5.3 is too old"),
        ("junk", "failed", "printed a line that is not a reply to `gate`: b'noise on standard output"),
        ("fails", "failed", "DomainError with -1.0"),
        ("dies", "failed", "the worker ended with status 3 during `time`"),
    ],
)
def test_a_worker_that_cannot_go_on_says_why(run, mode, status, reason):
    _, rows, _ = run(mode, "tasks=[importance_sampling]", "stages=[run]")
    assert {row["status"] for row in rows.values()} == {status}
    assert reason in rows["importance_sampling", "genjl"]["reason"]


def test_without_julia_both_are_expected_skips(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    words = ["size=smoke", "frameworks=[genjl,genjl_static]", f"results={tmp_path / 'results'}", "stages=[run]"]
    assert main(words, study="perfbench") == 0
    assert "julia is not installed" in capsys.readouterr().out
