"""`./run scaling`: series that exist, fits that are right, limits that bisection finds, pages that keep the rest."""

import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from rich.console import Console

from pipelines.bench.child import run_program
from pipelines.bench.programs import growth
from pipelines.config.configuration import configure
from pipelines.errors import ConfigurationFaults
from pipelines.output.progress import Reporter
from pipelines.plan.cells import races
from pipelines.plan.tree import Tree
from pipelines.scaling.__main__ import run
from pipelines.scaling.fit import log_log
from pipelines.scaling.limit import Bracket, largest
from pipelines.scaling.measure import measure
from pipelines.scaling.page import BEGIN, END, seconds, tables, with_growth
from pipelines.scaling.series import powers_of_two, read_series
from pipelines.scaling.work import count
from pipelines.testing.toy import FAST

PROVENANCE = {"cpu": "a processor", "usable_cores": 2, "commit": {"id": "0123456789abcdef"}, "started": "2026-01-02T03"}
SERIES = {
    "points": {
        "axis": "points",
        "study": "toy",
        "task": "total",
        "overrides": ["study.parameters.n_points={size}"],
        "sizes": [10, 100, 1000],
        "smoke": [2, 4, 8],
    },
    "too_many": {
        "axis": "points",
        "study": "toy",
        "task": "total",
        "overrides": ["study.parameters.n_points={size}"],
        "sizes": [4, 1000],
        "smoke": [1, 16],
    },
}


def scaling(toy, *words, framework="first"):
    """Exit status and what was printed."""
    toy.write("configs/scaling.yaml", yaml.safe_dump({"series": SERIES}))
    output = io.StringIO()
    status = run([*FAST[:-1], *words], toy.tree, Reporter(Console(file=output, width=300)), framework)
    return status, output.getvalue()


# The series of the repository


@pytest.mark.parametrize("name", sorted(read_series(Tree().configs, 2)))
def test_series_stand_for_cells_of_genjax(name):
    series = read_series(Tree().configs, 2, smoke=True)[name]
    if series.program:
        return
    size = series.sizes[-1]
    words = [word.format(size=size) for word in series.overrides]
    words += [f"tasks=[{series.task}]", "frameworks=[genjax]", "size=smoke"]
    (configuration,) = configure(words, Tree(), series.study)
    found = races(configuration)
    assert [cell.framework for cell in found[0].cells] == ["genjax"] and "time" in found[0].cells[0].stages
    # What was asked for is what the cell has; the size of cores is no parameter.
    assert series.cores == "size" or any(value == size for value in found[0].cells[0].parameters.values())


def test_the_axes_of_growth_are_all_there():
    axes = {series.axis for series in read_series(Tree().configs, 2).values()}
    wanted = {"particles", "chains", "data points", "sites of a model", "cells", "cores"}
    assert wanted <= axes and any("devices" in axis for axis in axes)
    studies = {series.study for series in read_series(Tree().configs, 2).values()}
    assert {"faircoin", "curvefit", "gol", "localization", "perfbench"} <= studies


def test_cores_are_powers_of_two_and_all():
    assert powers_of_two(1) == (1,) and powers_of_two(6) == (1, 2, 4, 6) and powers_of_two(8) == (1, 2, 4, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": [3, 2]}, "ascending"),
        ({"sizes": "cpus"}, "ascending"),
        ({"study": ""}, "either study and task or a program"),
        ({"axes": "points"}, "Unknown word 'axes'. Did you mean axis or task?"),
    ],
)
def test_entries_that_cannot_be_used(tmp_path, change, message):
    (tmp_path / "scaling.yaml").write_text(yaml.safe_dump({"series": {"one": {**SERIES["points"], **change}}}))
    with pytest.raises(ConfigurationFaults, match=message.replace("?", r"\?")):
        read_series(tmp_path, 2)


# Programs of processes of their own


@pytest.mark.parametrize(("program", "size"), [("sites", 3), ("devices", 2), ("chains", 2)])
def test_programs_time_calls_whose_outputs_they_have_checked(program, size):
    found = run_program("growth", program, str(size), "0")
    assert len(found["seconds"]) >= 5 and min(found["seconds"]) > 0 and found["draws"] > 0


def test_programs_refuse_wrong_outputs():
    rng = np.random.default_rng(0)
    right = np.exp(-0.25) / np.sqrt(4 * np.pi)
    growth.check_weights(np.log(right * rng.uniform(0.5, 1.5, 10_000)))
    with pytest.raises(AssertionError, match="mean weight"):
        growth.check_weights(np.log(1.05 * right * rng.uniform(0.5, 1.5, 10_000)))
    powers, ys = (np.asarray(value, np.float64) for value in growth.curve())
    covariance = np.linalg.inv(np.eye(3) + powers.T @ powers)
    states = rng.multivariate_normal(covariance @ powers.T @ ys, covariance, growth.N_CHAINS)
    growth.check_states(states)
    with pytest.raises(AssertionError, match="last states have means"):
        growth.check_states(states + [0.1, 0, 0])


# Fits and counts


def test_a_power_law_is_found_exactly():
    amounts = [10, 100, 1000, 10_000]
    fit = log_log(amounts, [3.0 * amount**0.75 for amount in amounts])
    assert fit.exponent == pytest.approx(0.75) and fit.factor == pytest.approx(3.0)
    assert fit.high - fit.low < 1e-6


def test_the_interval_covers_the_exponent_as_often_as_it_says():
    rng = np.random.default_rng(1)
    amounts = np.array([1.0, 10.0, 100.0, 1000.0])
    fits = [log_log(amounts, amounts * np.exp(rng.normal(0, 0.1, 4))) for _ in range(1000)]
    covered = sum(fit.low <= 1 <= fit.high for fit in fits)
    # Binomial(1000, 0.95) has sd 6.9; at 4.7 of them the false-alarm rate is 2.6e-6.
    assert abs(covered - 950) < 4.7 * 6.9


def test_no_fit_through_two_points_and_none_of_nothing():
    assert log_log([1, 2], [1.0, 2.0]) is None
    with pytest.raises(ValueError, match="all must be above 0"):
        log_log([1, 2, 3], [1.0, 0.0, 2.0])


def test_random_bits_and_operations_are_counted_as_often_as_they_run():
    def program(key, matrix):
        def step(total, key):
            return total + jax.random.bits(key, (100,), jnp.uint32), None

        bits, _ = jax.lax.scan(step, jnp.zeros(100, jnp.uint32), jax.random.split(key, 7))
        return bits, jnp.sum(matrix @ matrix)

    draws, flops = count(jax.make_jaxpr(program)(jax.random.key(0), jnp.ones((8, 8))).jaxpr)
    assert draws == 7 * 100
    assert flops == 2 * 8**3 + 8**2  # the product, and the sum of what it gives


@pytest.mark.parametrize("limit", [0, 1, 5, 1000, 12_345])
def test_bisection_finds_the_limit(limit):
    tried = []

    def fits(size):
        tried.append(size)
        return size <= limit

    found = largest(fits, 100, 1_000_000)
    assert len(tried) == len(set(tried)) <= 25
    if limit == 0:
        assert found == Bracket(None, 1)
    else:
        assert found.fits <= limit < found.fails <= max(1.1 * found.fits, found.fits + 1)


def test_no_limit_below_the_most():
    assert largest(lambda size: True, 3, 50) == Bracket(50, None)
    with pytest.raises(ValueError, match="1 <= start <= most"):
        largest(lambda size: True, 10, 5)


# Pages


def content(**point):
    points = [{"amount": 1000, "status": "ok", "reason": None, "seconds": 2e-3, "low": 1e-3, "high": 3e-3}]
    points[0] |= {"limits": {"bits": 1e-3, "flops": 5e-7}} | point
    fit = {"exponent": 0.987, "low": 0.95, "high": 1.02, "factor": 1.0, "n": 3}
    series = {"name": "a", "title": "toy/total", "axis": "points", "cores": 1, "points": points, "fit": fit}
    return {"series": [{**series, "provenance": PROVENANCE}]}


def test_tables_show_times_limits_and_the_exponent():
    lines = tables(content())
    assert "| 1,000 | 2 ms [1 ms, 3 ms] | 1 ms | - | 500 ns | 2 |" in lines
    assert any("Exponent 0.99 [0.95, 1.02] over 3 points" in line for line in lines)
    assert "a processor, 2 cores; commit 0123456789ab, 2026-01-02." in lines
    assert "| 1,000 | oom: too large | - | - | - | - |" in tables(content(status="oom", reason="too large"))
    assert any(line.endswith("| 500 ns | 110 |") for line in tables(content(seconds=0.1101))), "no exponents"
    assert [seconds(value) for value in (None, 1.5, 2.5e-5, 3e-9)] == ["-", "1.5 s", "25 us", "3 ns"]


def test_tables_of_several_machines_say_which_each_is_of():
    here, there = content()["series"][0], content()["series"][0] | {"provenance": {**PROVENANCE, "cpu": "another"}}
    one, two = (
        "a processor, 2 cores; commit 0123456789ab, 2026-01-02.",
        "another, 2 cores; commit 0123456789ab, 2026-01-02.",
    )
    together, apart = tables({"series": [here, here]}), tables({"series": [here, there]})
    headings = [index for index, line in enumerate(together) if line.startswith("**toy/total")]
    assert together.count(one) == 1 and together.index(one) < headings[0]
    headings = [index for index, line in enumerate(apart) if line.startswith("**toy/total")]
    assert [apart[place + 1] for place in headings] == [one, two]


def test_only_what_is_between_the_marks_changes():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    new = with_growth(page, content())
    assert new.startswith(f"before\n{BEGIN}\n") and new.endswith(f"{END}\nafter\n") and "old" not in new
    assert with_growth(new, content()) == new
    with pytest.raises(ConfigurationFaults, match="needs one line"):
        with_growth("no marks", content())


def test_the_page_of_the_repository_has_its_marks():
    page = (Tree().root / "docs/scaling.md").read_text(encoding="utf-8")
    assert with_growth(page, content()) != page


# The command


def test_growth_is_measured_gated_and_written(toy):
    page = toy.write("docs/growth.md", f"text\n{BEGIN}\n{END}\n")
    status, output = scaling(toy, "points", "seconds=0.1", f"page={page}")
    assert status == 0 and "toy/total, by points, on 1 core" in output
    stored = json.loads((toy.root / "docs/growth.json").read_text())
    assert not {"host", "thread_settings"} & set(stored["series"][0]["provenance"]), (
        "names of hosts and paths stay here"
    )
    (series,) = stored["series"]
    assert [point["amount"] for point in series["points"]] == [10, 100, 1000]
    for point in series["points"]:
        assert point["status"] == "ok" and point["low"] <= point["seconds"] <= point["high"]
    assert series["fit"]["low"] <= series["fit"]["exponent"] <= series["fit"]["high"]
    assert "| 1,000 |" in page.read_text()
    # Another series joins it; the first keeps its numbers.
    status, _ = scaling(toy, "too_many", "seconds=0.1", f"page={page}", "size=smoke")
    again = json.loads((toy.root / "docs/growth.json").read_text())
    assert again["series"][0] == series and [one["name"] for one in again["series"]] == ["points", "too_many"]


def test_what_was_measured_before_an_interruption_is_on_the_page(toy, monkeypatch):
    page = toy.write("docs/growth.md", f"text\n{BEGIN}\n{END}\n")

    def interrupted(context, series, *rest):
        if series.name == "too_many":
            raise KeyboardInterrupt
        return measure(context, series, *rest)

    monkeypatch.setattr("pipelines.scaling.__main__.measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scaling(toy, "points", "too_many", "seconds=0.1", f"page={page}")
    (series,) = json.loads((toy.root / "docs/growth.json").read_text())["series"]
    assert series["name"] == "points" and "| 1,000 |" in page.read_text()


def test_a_wrong_program_has_no_time(toy):
    toy.model("first", wrong=1.0)
    status, output = scaling(toy, "points", "size=smoke", "seconds=0.1")
    assert status == 1 and "invalid: total is off by 1" in output and "Too few points" in output


def test_the_limit_of_memory_is_found_and_named(toy):
    toy.model("first", before="size = len(inputs['values']); taken = np.zeros(size << 23, np.uint8) + 1")
    # Each point takes 16 MB beside some hundred that the process has; 1,000 of them 16 GB.
    status, output = scaling(toy, "limits", "too_many", "size=smoke", "memory=600000000", "most=1000")
    assert status == 0
    line = next(line for line in output.splitlines() if "most points in memory" in line)
    assert "runs with" in line and "oom: " in line and "runs with none" not in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["point"], "Unknown series 'point'. Did you mean points?"),
        (["points", "seconds=soon"], "seconds=soon: needs a number above 0"),
        (["limits"], "needs the names of series of a study"),
        (["points", "page=nowhere.md"], "nowhere.md: there is no such file"),
    ],
)
def test_requests_that_cannot_be_met(toy, words, message):
    with pytest.raises(ConfigurationFaults, match=message.replace("?", r"\?")):
        scaling(toy, *words)
