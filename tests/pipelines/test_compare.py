"""Two result folders: what changed, by how much, and what cannot be told. The records are scripted."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from pipelines.output import comparison
from pipelines.race import statistics
from pipelines.race.statistics import independent_ratio
from pipelines.results import compare
from pipelines.results.store import Store

GENERATOR = np.random.default_rng(20260122)


def put(
    store, framework, times=None, status="ok", reason=None, started="2026-01-01", baseline=None, cpu="A", n=3, **more
):
    identity = {"study": "s", "task": "t", "framework": framework, "parameters": {"n": n}, "seed": 1}
    identity |= {"device": "cpu", "dtype": "float32"}
    arrays = {} if times is None else {"samples_s": times, "processes": np.arange(len(times)) % 5}
    if baseline is not None:
        arrays["baseline_samples_s"] = baseline
    record = {
        "key": f"{framework}{n}{started}", "identity": identity, "inputs": {}, "status": status, "reason": reason,
        "timing": {"is_baseline": False},
        "provenance": {"started": started, "cpu": cpu, "usable_cores": 2, "packages": {"jax": "0.10.2"},
                       "commit": {"id": "0123456789abcdef", "dirty": False}},
    }  # fmt: skip
    store.save({**record, **more}, arrays)


@pytest.fixture
def stores(tmp_path):
    return Store(tmp_path / "old"), Store(tmp_path / "new")


def times(median):
    return median * np.exp(GENERATOR.normal(0, 0.02, 50))


def test_verdicts_of_faster_slower_and_equal(stores):
    old, new = stores
    for framework, factor in (("a", 1.0), ("b", 0.5), ("c", 1.3)):
        measured = times(1.0)
        put(old, framework, measured)
        put(new, framework, measured if factor == 1 else times(factor))
    found = {one.name: one for one in compare.compare(old, new)}
    assert {name: one.verdict for name, one in found.items()} == {
        "s/t a": "no difference shown", "s/t b": "faster", "s/t c": "slower",
    }  # fmt: skip
    assert found["s/t b"].time.low < 0.5 < found["s/t b"].time.high
    assert found["s/t c"].ratio is None


def test_ratio_to_the_baseline_compares_programs_on_two_machines(stores):
    old, new = stores
    put(old, "a", times(1.0), baseline=times(1.0))
    put(new, "a", times(3.0), baseline=times(3.0), cpu="B")
    (one,) = compare.compare(old, new)
    assert one.verdict == "no difference shown" and one.time.low > 2 and one.ratio.low < 1 < one.ratio.high
    output = io.StringIO()
    compare.show([one], compare.sides_of(old, new), Console(file=output, width=200))
    assert "Two machines" in output.getvalue() and "0123456789ab" in output.getvalue()


def test_cells_that_broke_were_mended_came_or_went(stores):
    old, new = stores
    put(old, "broke", times(1.0))
    put(new, "broke", status="invalid", reason="log Z is off")
    put(old, "mended", status="failed", reason="x")
    put(new, "mended", times(1.0))
    put(old, "gone", times(1.0))
    put(new, "new", times(1.0))
    found = {one.name.removeprefix("s/t "): (one.verdict, one.detail) for one in compare.compare(old, new)}
    assert found["broke"] == ("broke", "invalid: log Z is off")
    assert {name: found[name][0] for name in ("mended", "gone", "new")} == {
        "mended": "mended",
        "gone": "gone",
        "new": "new",
    }


def test_newest_record_counts_and_differing_parameters_are_named(stores):
    old, new = stores
    put(old, "a", times(9.0), started="2025-01-01")
    measured = times(1.0)
    put(old, "a", measured, started="2026-01-01")
    put(old, "a", measured, n=4)
    for n in (3, 4):
        put(new, "a", measured, n=n)
    found = compare.compare(old, new)
    assert [one.name for one in found] == ["s/t a n=3", "s/t a n=4"]
    assert all(one.verdict == "no difference shown" for one in found)


def test_exit_statuses_and_empty_folders(stores, tmp_path, capsys):
    old, new = stores
    put(old, "a", times(1.0))
    put(new, "a", times(2.0))
    words = [str(old.root), str(new.root)]
    assert comparison.main(words) == 0 and comparison.main([*words, "--strict"]) == 1
    assert "1 slower" in capsys.readouterr().out
    assert comparison.main([str(tmp_path / "none"), str(new.root)]) != 0
    assert "holds no results" in capsys.readouterr().err


def test_independent_ratio_agrees_with_welch_and_covers():
    a, b, processes = times(2.0), times(1.0), np.arange(50) % 5
    logs = [np.log([np.median(x[processes == p]) for p in range(5)]) for x in (a, b)]
    expected = stats.ttest_ind(*logs, equal_var=False).confidence_interval(0.95)
    found = independent_ratio(a, b, processes, processes)
    np.testing.assert_allclose([found.low, found.high], np.exp([expected.low, expected.high]), rtol=1e-10)
    covered = sum(
        (one := independent_ratio(times(1.0), times(1.0), seed=seed)).low <= 1 <= one.high for seed in range(300)
    )
    # Binomial(300, 0.95) has standard error 0.0126: 0.06 is 4.8 of them (false alarm 2e-6).
    assert abs(covered / 300 - 0.95) < 0.06


def test_false_alarms_of_a_whole_comparison_are_rare():
    generator, alarms = np.random.default_rng(8), 0
    same = compare.Comparison("cell", compare.SAME, time=statistics.Interval(0.9, 0.8, 1.0))
    for _ in range(40):
        cells = [replace(same, p_value=p_value) for p_value in generator.random(60)]
        alarms += any(one.verdict != compare.SAME for one in compare.corrected(cells))
    # Expected 2 of 40; 9 or more have a probability of 2e-4.
    assert alarms < 9


def test_one_process_gives_no_verdict(stores):
    old, new = stores
    for store, factor in ((old, 1.0), (new, 3.0)):
        put(store, "a", times(factor)[:1])
    (one,) = compare.compare(old, new)
    assert one.verdict == "cannot tell" and one.detail == "within one process"


def test_p_value_is_welchs():
    a, b, processes = times(1.01), times(1.0), np.arange(50) % 5
    logs = [np.log([np.median(x[processes == p]) for p in range(5)]) for x in (a, b)]
    expected = stats.ttest_ind(*logs, equal_var=False).pvalue
    assert statistics.independent_p_value(a, b, processes, processes) == pytest.approx(expected, rel=1e-9)
