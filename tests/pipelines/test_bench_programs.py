"""Benchmarks of the language: what they report of numbers that are given, and their programs' processes."""

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from pipelines.bench import (
    child,
    elbo_gradient,
    hmc,
    kalman,
    language_cost,
    mh_chain,
    nuts,
    resampling,
    seeded_calls,
    streaming,
    tracing,
    variational_inference,
)
from pipelines.bench.base import Context, Finding, benchmarks
from pipelines.bench.child import ProgramError, run_program
from pipelines.errors import ConfigurationFaults
from pipelines.output.progress import Reporter
from pipelines.plan.tree import Tree
from studies.base import Row


def context() -> Context:
    return Context(Tree(), (), Reporter(Console(file=io.StringIO())))


def verdicts(findings: list[Finding]) -> list[str]:
    return [finding.verdict for finding in findings]


def test_they_are_found_and_their_helpers_are_not():
    names = benchmarks().keys()
    assert {"seeded_calls", "tracing", "hmc", "resampling", "mh_chain"} <= names
    assert {"elbo_gradient", "variational_inference", "kalman"} <= names
    assert not names & {"base", "child", "comparison", "programs"}


@pytest.mark.parametrize(
    ("second_s", "verdict"),
    [([0.001] * 5, "met"), ([0.1] * 5, "missed"), ([0.005, 0.0015, 0.04, 0.005, 0.04], "cannot tell")],
)
def test_seeded_calls(second_s, verdict):
    measured = [{"n_steps": 100, "first_s": 1.0, "later_s": [second, 0.002]} for second in second_s]
    speedup, later = seeded_calls.report(measured)
    assert speedup.verdict == verdict and later.verdict == ""
    assert speedup.facts["second_s"] == second_s


def test_seeded_calls_says_how_many_times_and_how_long():
    speedup, later = seeded_calls.report([{"n_steps": 100, "first_s": 1.0, "later_s": [0.004, 0.002, 0.003]}] * 5)
    assert speedup.value == "250x [250, 250] (1000 / 4 ms)"
    assert later.value == "3 ms [3, 3]"


def traced(trace_s: float, compile_s: float, version: str | None = None) -> dict:
    seconds = {"simulate": [trace_s, compile_s], "generate": [trace_s, 2 * compile_s]}
    return {"n_sites": 50, "seconds": seconds, "jax": "0", "genjax": version}


@pytest.mark.parametrize(("ours", "expected"), [(0.3, ["met", "met"]), (0.8, ["missed", "missed"])])
def test_tracing_counts_both_phases(ours, expected):
    findings = tracing.report([traced(ours, ours)] * 3, [traced(1.0, 1.0, "1.0.14")] * 3)
    assert verdicts(findings) == expected
    assert [finding.facts["ratio"] for finding in findings] == pytest.approx([ours, ours])


def test_tracing_without_peer_is_skipped_and_says_what_to_set(monkeypatch):
    monkeypatch.delenv("BENCH_PEER_PYTHON", raising=False)
    (finding,) = tracing.run(context())
    assert finding.verdict == "" and finding.value.startswith("skipped: BENCH_PEER_PYTHON is not set")


def test_tracing_against_another_version_is_skipped():
    (finding,) = tracing.report([traced(1.0, 1.0)], [traced(1.0, 1.0, "1.0.13")])
    assert finding.verdict == "" and "has genjax 1.0.13, not 1.0.14" in finding.value


def test_tracing_with_a_peer_that_does_not_start(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_PEER_PYTHON", str(tmp_path / "python"))
    monkeypatch.setattr(tracing, "run_program", lambda name, peer: traced(1, 1) if peer is None else fail(name, peer))
    (finding,) = tracing.run(context())
    assert finding.verdict == "missed" and "tracing did not run" in finding.value


def fail(name: str, peer: str) -> dict:
    return run_program(name, peer=peer)


def timed(framework: str, gradients: int | None, interval: tuple[float, float], flops: float | None) -> Row:
    values: dict = {field.name: None for field in dataclasses.fields(Row)}
    record = {"notes": {"gradient_evaluations": gradients}, "cost": {"flops": flops, "bytes_accessed": 200.0}}
    values |= {
        "framework": framework,
        "parameters": {"n_samples": 1000},
        "median_s": 0.01,
        "flags": (),
        "record": record,
    }
    return Row(**values | {"ratio": sum(interval) / 2, "ratio_interval": interval})


@pytest.mark.parametrize(
    ("gradients", "interval", "work", "expected"),
    [
        (210, (0.99, 1.01), "1.000x (4,500 / 4,500)", ["met", "met", "met", "met"]),
        (231, (1.1, 1.2), "1.111x (5,000 / 4,500)", ["missed", "missed", "missed", "met"]),
        (None, (0.5, 2.0), "XLA does not say", ["missed", "cannot tell", "cannot tell", "met"]),
    ],
)
def test_hmc(gradients, interval, work, expected):
    flops = {210: 4500.0, 231: 5000.0}.get(gradients)
    rows = {
        "genjax": timed("genjax", gradients, interval, flops),
        "handcoded_jax": timed("handcoded_jax", 210, (1.0, 1.0), 3000.0),
        "handcoded_same_draws": timed("handcoded_same_draws", 210, (1.0, 1.0), 4500.0),
    }
    findings = hmc.report(rows)
    assert verdicts(findings) == expected
    assert findings[2].value == work


@pytest.mark.parametrize(("large_bytes", "verdict"), [(32_000_100, "met"), (3_200_000_000, "missed")])
def test_resampling_memory_is_linear_or_not(large_bytes, verdict):
    small = {"method": "systematic", "n": 100_000, "seconds": [0.1], "temporary_bytes": 3_200_000}
    large = {"method": "systematic", "n": 1_000_000, "seconds": [1.0, 1.0], "temporary_bytes": large_bytes}
    time, memory = resampling.report(small, large)
    assert time.value == "1e+03 ms [1e+03, 1e+03]" and time.verdict == ""
    assert memory.verdict == verdict and "(32.0 at 100,000)" in memory.value


@pytest.mark.parametrize(
    ("seconds", "verdict"), [([0.3] * 9, "met"), ([1.5] * 9, "missed"), ([0.2, 3.0] * 5, "cannot tell")]
)
def test_mh_chain(seconds, verdict):
    (finding,) = mh_chain.report({"n_steps": 50_000, "seconds": seconds, "compile_s": 2.0})
    assert finding.verdict == verdict


@pytest.mark.parametrize("module", [variational_inference, kalman])
@pytest.mark.parametrize(("share", "verdict"), [(0.5, "met"), (1.5, "missed")])
def test_compiled_loops_against_their_limit(module, share, verdict):
    seconds = [share * module.LIMIT_SECONDS] * 9
    (finding,) = module.report({"n_steps": 1000, "n_dims": 10, "seconds": seconds, "compile_s": 2.0})
    assert finding.verdict == verdict and finding.value.endswith("compiled in 2 s")


@pytest.mark.parametrize(
    ("ours", "prepare_s", "expected"),
    [([0.0012] * 3, 0.5, ["met", "met"]), ([0.0013] * 3, 1.5, ["missed", "missed"])],
)
def test_elbo_gradient(ours, prepare_s, expected):
    seconds = {"genjax": ours, "by_hand": [0.001] * 3}
    one = {"name": "reparam", "n_lanes": 1000, "prepare_s": {"genjax": prepare_s, "by_hand": 0.4}, "seconds": seconds}
    prepare, time = elbo_gradient.report([one] * 3)
    assert verdicts([prepare, time]) == expected
    assert time.facts["ratio"] == pytest.approx(ours[0] / 0.001)


@pytest.mark.parametrize(
    ("ours", "flops", "expected"),
    [([0.00101, 0.00100, 0.00100], 1010, ["met", "met", "met"]), ([0.0013] * 3, 1030, ["missed", "missed", "met"])],
)
def test_language_cost(ours, flops, expected):
    counts = {"genjax": {"flops": flops, "bytes_accessed": 10}, "by_hand": {"flops": 1000, "bytes_accessed": 10}}
    measured = [
        {"name": "coin", "n_particles": 10, "counts": counts, "seconds": {"genjax": [time], "by_hand": [0.001]}}
        for time in ours
    ]
    findings = language_cost.report(measured)
    assert verdicts(findings) == expected
    assert findings[0].facts["ratio"] == pytest.approx(np.exp(np.mean(np.log(ours))) / 0.001)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise ValueError('no moments')", "broken ended with status 1: ValueError: no moments"),
        ("print('done')", "broken printed no JSON"),
        ("", "broken printed no JSON"),
    ],
)
def test_a_program_without_numbers_says_why(tmp_path, monkeypatch, source, message):
    (tmp_path / "broken.py").write_text(source)
    monkeypatch.setattr(child, "PROGRAMS", tmp_path)
    with pytest.raises(ProgramError, match=message):
        run_program("broken")


def test_a_program_prints_its_numbers_last(tmp_path, monkeypatch):
    (tmp_path / "fine.py").write_text("import json, sys\nprint('note')\nprint(json.dumps({'n': int(sys.argv[1])}))")
    monkeypatch.setattr(child, "PROGRAMS", tmp_path)
    assert run_program("fine", "7") == {"n": 7}


@pytest.mark.parametrize(("factor", "verdict"), [(0.9, "met"), (1.1, "missed")])
def test_nuts_compares_the_least_costs_of_the_rounds(factor, verdict):
    costs = [7000.0, 6000.0, 9000.0]
    cost = {"genjax": [factor * c for c in costs], "numpyro": costs, "blackjax": [2 * c for c in costs]}
    compiling = {"genjax": [4.0, 3.0], "numpyro": [9.0, 3.0 / factor], "blackjax": [2.5, 8.0]}
    findings = nuts.report([{"n_chains": 100, "nanoseconds": cost, "compile_s": compiling}] * 3)
    assert verdicts(findings) == [verdict, "met", verdict, "missed"]
    assert findings[0].facts["ratio"] == pytest.approx(factor) and "100 chains" in findings[0].what
    assert findings[2].facts["ratio"] == pytest.approx(factor) and "compile" in findings[2].what


def test_a_fault_is_a_finding_and_no_exception(monkeypatch):
    def broken(name, *arguments, **settings):
        raise ProgramError(f"{name} ended")

    programs = (resampling, mh_chain, elbo_gradient, variational_inference, kalman, language_cost, nuts)
    for module in (seeded_calls, *programs):
        monkeypatch.setattr(module, "run_program", broken)
        findings = module.run(context())
        assert findings and set(verdicts(findings)) == {"missed"}


def test_streaming():
    times = {"n": 10_000_000, "seconds": [0.7] * 5, "in_memory": {"n": 1_000_000, "seconds": [0.07] * 5}}
    measured = {**times, "bytes": 2e6, "resident_bytes": 300e6, "resident_growth_bytes": 250e6}
    findings = streaming.report(measured)
    assert verdicts(findings) == ["met", "missed", "", "met"]
    assert findings[1].value == "250 MB; the process 300 MB, JAX included" and findings[3].value.startswith("1.000x")
    assert verdicts(streaming.report({**measured, "resident_growth_bytes": None})) == ["met", "", "met"]


def test_streaming_of_a_million_particles_takes_the_memory_of_a_block():
    measured = run_program("streaming", "1000000", "0")
    assert measured["n"] == 1_000_000 and len(measured["seconds"]) == 3
    # A block is 16,384 particles of some numbers each; a million would be 4 MB for each number.
    assert measured["bytes"] < 4e6
    if measured["resident_growth_bytes"] is not None:
        assert measured["resident_growth_bytes"] < streaming.LIMIT_BYTES


def test_streaming_of_no_particles_is_an_error():
    with pytest.raises(ConfigurationFaults, match="particles=many: needs a whole number"):
        streaming.run(dataclasses.replace(context(), overrides=("particles=many",)))
