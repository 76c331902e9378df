"""The benchmark of the curves against the published genjax: its report, its skips, and its program on this genjax."""

import io
import json

import pytest
from rich.console import Console

from pipelines.bench import curvefit_published as bench
from pipelines.bench.base import Context
from pipelines.bench.child import ROOT, ProgramError, run_program
from pipelines.bench.tracing import VARIABLE
from pipelines.output.progress import Reporter
from pipelines.plan.tree import Tree


@pytest.fixture
def context() -> Context:
    return Context(Tree(), (), Reporter(Console(file=io.StringIO())))


def measured(seconds: float, first_s: float = 1.0, n_bytes: float = 1e6, genjax: str | None = None) -> dict:
    one = {"seconds": [seconds] * 4, "first_s": first_s, "peak_bytes": 3e8, "temporary_bytes": n_bytes}
    one |= {"flops": 1.1e9 * seconds, "bytes_accessed": 0.0}
    file = "/of/a/peer/genjax.py" if genjax else str(ROOT / "genjax" / "__init__.py")
    return {"programs": {"1000": one, "500x200": one}, "jax": "0.10.2", "genjax": genjax, "file": file}


@pytest.mark.parametrize(("seconds", "verdict"), [(0.9, "met"), (1.0, "met"), (1.1, "missed")])
def test_never_slower_is_judged_by_processes(seconds, verdict):
    ours = [measured(seconds * (1 + 0.001 * i), 0.4, 1e6) for i in range(4)]
    theirs = [measured(1.0 * (1 + 0.001 * i), 1.0, 2e6, "1.0.14") for i in range(4)]
    findings = {finding.what: finding for finding in bench.report("importance", ours, theirs)}
    assert findings["importance, 1,000 particles: steady"].verdict == verdict
    assert findings["importance, 500 chains of 200 steps: steady"].verdict == verdict
    assert findings["importance, 1,000 particles: trace, compile and first call"].verdict == "met"
    memory = findings["importance, 1,000 particles: bytes of temporary memory, by XLA"]
    assert memory.value == "0.500x (1.000 / 2.000 million)" and memory.verdict == "met"
    assert findings["importance, 1,000 particles: bytes of the process at its peak"].value.startswith("1.000x")
    assert findings["importance, 1,000 particles: operations, by XLA"].verdict == verdict
    assert "importance, 500 chains of 200 steps: operations, by XLA" not in findings
    assert findings["importance, 1,000 particles: bytes accessed, by XLA"].value == "1.000x (0.000 / 0.000 million)"


def test_processes_that_disagree_cannot_tell():
    ours = [measured(seconds) for seconds in (0.7, 1.4, 0.8, 1.3)]
    finding = bench.report("importance", ours, [measured(1.0, genjax="1.0.14")] * 4)[0]
    assert finding.verdict == "cannot tell"


def test_without_a_peer_or_with_another_it_is_skipped(monkeypatch, context):
    monkeypatch.delenv(VARIABLE, raising=False)
    (finding,) = bench.run(context)
    assert finding.verdict == "" and "BENCH_PEER_PYTHON is not set" in finding.value
    (finding,) = bench.report("importance", [measured(1.0)], [measured(1.0, genjax="1.0.13")])
    assert "has genjax 1.0.13, not 1.0.14" in finding.value


def test_one_system_on_both_sides_is_no_comparison():
    theirs = measured(1.0, genjax="1.0.14")
    (finding,) = bench.report("importance", [theirs], [theirs])
    assert finding.verdict == "missed" and "for ours" in finding.value


def test_a_program_that_fails_is_missed_and_the_next_one_runs(monkeypatch, context):
    def run(name, task, problem, *sizes, peer=None, interpreter=None):
        assert "/of/a/peer/python" in (peer, interpreter)
        if task == "importance" and peer:
            raise ProgramError("curvefit_published ended with status 1: no memory")
        return measured(1.0, genjax="1.0.14" if peer else None)

    monkeypatch.setenv(VARIABLE, "/of/a/peer/python")
    monkeypatch.setattr(bench, "run_program", run)
    first, *rest = bench.run(context)
    assert first.verdict == "missed" and "no memory" in first.value
    assert [finding.what for finding in rest[:1]] == ["Gibbs + HMC, 1,000 particles: steady"]


@pytest.mark.usefixtures("quick_programs")
def test_the_program_runs_here_and_checks_itself(context):
    # The evidence of 2,000 particles is skewed, but 6 standard errors hold more than all of them at this seed.
    problem = bench.problem_of(context, "importance")
    found = run_program("curvefit_published", "importance", json.dumps(problem), "2000", "100")
    assert list(found["programs"]) == ["100", "2000"]
    assert min(found["programs"]["100"]["seconds"]) > 0 and found["genjax"] is None
    wrong = json.dumps({**problem, "log_evidence": problem["log_evidence"] - 60.0})
    with pytest.raises(ProgramError, match="times its exact value"):
        run_program("curvefit_published", "importance", wrong, "1000")


@pytest.mark.usefixtures("quick_programs")
def test_chains_that_have_not_arrived_are_refused(context):
    problem = bench.problem_of(context, "gibbs_hmc")
    assert problem["outlier_bound"] == 2.0 and len(problem["outlier_probability"]) == 18
    with pytest.raises(ProgramError, match=r"P\(outlier\) is"):
        run_program("curvefit_published", "gibbs_hmc", json.dumps(problem), "10", "4")
