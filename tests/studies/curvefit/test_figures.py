"""The figures of the curves on synthetic rows: what is drawn equals what is stored, gaps and cautions are marked."""

import dataclasses

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from studies.base import FigureContext, Row, Rows
from studies.curvefit import figures
from studies.curvefit.figures_curves import data_facts
from studies.curvefit.figures_outliers import chain_facts
from studies.curvefit.figures_scaling import find_knee
from studies.curvefit.problem import make_problem

BASIC = {"data_set": "reference", "n_points": 20, "data_noise_sd": 0.05, "noise_sd": 0.05, "xs": None, "ys": None}
TRACES = {**BASIC, "data_set": "trace_points", "n_points": 5}
MISSPECIFIED = {**BASIC, "data_set": "outliers", "n_points": 8, "data_noise_sd": 0.1}
ROBUST = {**MISSPECIFIED, "noise_sd": 0.1, "outlier_bound": 2.0, "rate_alpha": 1.0, "rate_beta": 3.0}
SIZES = (10, 100, 1000, 10_000, 100_000, 1_000_000)


def make_row(task, parameters, framework="genjax", **changes):
    values = {
        "study": "curvefit", "task": task, "framework": framework, "label": "Ours", "color": "deepskyblue",
        "parameters": parameters, "seed": 7, "device": "cpu", "status": "ok",
    }  # fmt: skip
    return Row(**{**values, **changes})


def make_context(*rows, **settings):
    return FigureContext(Rows(rows), make_problem, {}, settings, "cpu", "Example CPU 9000", Rows([]))


def texts(drawing):
    found = [text.get_text() for text in drawing.texts]
    for axes in drawing.axes:
        found += [text.get_text() for text in axes.texts] + [axes.get_title(), axes.get_xlabel(), axes.get_ylabel()]
    return "\n".join(found)


def drawn(figure, context):
    """The figure, rendered: what cannot be drawn fails here."""
    drawing = figure(context)
    FigureCanvasAgg(drawing).draw()
    return drawing


# Traces


def trace_row(task, n=None):
    generator = np.random.default_rng(0)
    shape = () if n is None else (n,)
    arrays = {name: generator.standard_normal(shape) for name in "abc"}
    arrays["obs"] = generator.standard_normal((*shape, 5))
    arrays["log_density"] = np.full(shape, -5.317) if n is None else np.linspace(5.317, -1.517, n)
    return make_row(task, {**TRACES, **({} if n is None else {"n_traces": n})}, arrays=arrays)


def test_traces_show_the_stored_log_density_with_its_sign():
    drawing = drawn(figures.prior_multipoint, make_context(trace_row("prior_traces", 3)))
    assert [axes.get_xlabel() for axes in drawing.axes] == ["log p = 5.32", "log p = 1.90", "log p = −1.52"]
    single = drawn(figures.single_multipoint, make_context(trace_row("single_trace")))
    assert single.axes[0].get_xlabel() == "log p = −5.32"


def test_vectorization_shows_the_shapes_of_the_stored_arrays():
    context = make_context(trace_row("single_trace"), trace_row("prior_traces", 4))
    found = texts(drawn(figures.vectorization, context)).splitlines()
    assert found.count("()") == 4
    assert found.count("(5,)") == 1
    assert found.count("(4,)") == 4
    assert found.count("(4, 5)") == 1
    assert "axis_size=4" in found


def test_an_invalid_trace_is_no_picture():
    with pytest.raises(ValueError, match="has no traces: invalid: wrong sign"):
        figures.single_multipoint(
            make_context(make_row("single_trace", TRACES, status="invalid", reason="wrong sign", arrays={}))
        )


# Scaling


def scaling_row(n, seconds, **changes):
    values = {
        "median_s": seconds, "interval_s": (0.9 * seconds, 1.1 * seconds), "samples_s": np.full(12, seconds),
        "record": {
            "cost": {"temporary_bytes": 4.0 * n, "output_bytes": 16.0 * n},
            "memory": {"peak_host_bytes": 3e8, "peak_device_bytes": None},
        },
    }  # fmt: skip
    return make_row("scaling", {**BASIC, "n_particles": n}, **{**values, **changes})


def evidence_row(n, mean=26.7, sd=0.1):
    values = mean + sd * np.random.default_rng(n).standard_normal(20)
    record = {"cost": {"temporary_bytes": 1e6, "output_bytes": 80.0}}
    return make_row("evidence", {**BASIC, "n_particles": n}, arrays={"log_evidence": values}, record=record)


def race_rows():
    parameters = {**BASIC, "n_particles": 1000}
    ours = {"median_s": 0.0102, "ratio": 1.02, "ratio_interval": (1.01, 1.03)}
    base = {"median_s": 0.01, "ratio": 1.0, "ratio_interval": (1.0, 1.0), "is_baseline": True}
    return [
        make_row("importance_sampling", parameters, "handcoded_jax", label="Handcoded JAX", color="gold", **base),
        make_row("importance_sampling", parameters, **ours),
    ]


def bent(n):
    return 1e-4 * max(1.0, n / 3000)


def test_knee_is_found_where_time_bends_and_only_there():
    sizes = np.array(SIZES)
    knee = find_knee(sizes, np.array([bent(n) for n in SIZES]))
    assert 2000 < knee.size < 4500
    assert knee.before == pytest.approx(0.0, abs=0.05)
    assert knee.after == pytest.approx(1.0, abs=0.05)
    assert find_knee(sizes, 1e-6 * sizes) is None
    assert find_knee(sizes, np.full(6, 1e-3)) is None
    assert find_knee(sizes[:5], np.array([bent(n) for n in SIZES[:5]])) is None
    noise = np.exp(0.05 * np.random.default_rng(0).standard_normal(6))
    assert find_knee(sizes, 1e-6 * sizes * noise) is None


def test_scaling_draws_what_was_measured():
    rows = [scaling_row(n, bent(n)) for n in SIZES] + [evidence_row(n) for n in SIZES] + race_rows()
    drawing = drawn(figures.scaling, make_context(*rows, marked=[10, 100, 100_000]))
    runtime, memory, evidence = drawing.axes
    line = next(line for line in runtime.lines if line.get_label() == "Ours")
    np.testing.assert_allclose(line.get_ydata(), [1e3 * bent(n) for n in SIZES])
    scratch = next(line for line in memory.lines if line.get_label() == "particles and weights")
    np.testing.assert_allclose(scratch.get_ydata(), [20e-6 * n for n in SIZES])
    found = texts(drawing)
    assert "knee at" in found
    assert "102.0% [101.0, 103.0] at 1,000" in found
    assert "exact 26.69" in "\n".join(text.get_text() for text in evidence.texts)
    assert "20 replicates" in found
    assert "out of memory" not in found


def test_scaling_without_a_bend_says_so():
    rows = [scaling_row(n, 1e-6 * n, flags=("unstable",) if n < 1000 else ()) for n in SIZES]
    found = texts(drawn(figures.scaling, make_context(*rows)))
    assert "no knee found among 6 sizes" in found
    assert "knee at" not in found
    assert "2 of 6 measurements flagged as unstable" in found
    assert "no log evidence was measured" in found.replace("\n", " ")


def test_out_of_memory_is_drawn_at_the_cell_that_ran_out():
    gone = {"median_s": None, "interval_s": None, "samples_s": np.empty(0), "record": {}}
    rows = [scaling_row(n, bent(n)) for n in SIZES]
    rows.append(scaling_row(10**8, 1.0, status="oom", reason="out of memory: needs 2 GB", **gone))
    drawing = drawn(figures.scaling, make_context(*rows))
    assert "out of memory" in texts(drawing)
    assert any(line.get_color() == "#CC3311" and line.get_xdata()[0] == 10**8 for line in drawing.axes[0].lines)
    assert "N = 100,000,000" in texts(drawing)


def test_estimates_that_are_far_off_are_told_in_words():
    rows = [evidence_row(10, -450.0, 100.0), evidence_row(100_000)]
    found = texts(drawn(figures.scaling, make_context(*rows)))
    assert "↓ N = 10: −4" in found
    assert "↓ N = 100,000" not in found


# Posterior draws


def draws_row(n, effective, **changes):
    generator = np.random.default_rng(n)
    arrays = {name: generator.standard_normal(50) for name in "abc"}
    diagnostics = {"effective_sample_size": effective, "coefficient_error": 0.25}
    parameters = {**BASIC, "n_particles": n, "n_draws": 50}
    return make_row("posterior_draws", parameters, **{"arrays": arrays, "diagnostics": diagnostics, **changes})


def test_every_panel_states_its_effective_sample_size():
    context = make_context(draws_row(100_000, 11.93), draws_row(10, 1.0))
    drawing = drawn(figures.posterior_scaling, context)
    posterior = make_problem(BASIC).truth["posterior"]
    for axes, n, effective in zip(drawing.axes, (10, 100_000), ("1.0", "11.9"), strict=True):
        means = np.array([draws_row(n, 1.0).arrays[name].mean() for name in "abc"])
        error = np.abs((means - posterior.mean) / posterior.sd).max()
        assert axes.get_title() == f"N = {n:,}\nESS {effective}, means off by {error:.2f} sd"
    assert "does not approximate the posterior" in texts(drawing)


def test_a_missing_size_is_marked():
    gone = draws_row(10, 1.0, status="invalid", reason="weights are wrong", arrays={}, diagnostics={})
    assert "invalid: weights are" in texts(drawn(figures.posterior_scaling, make_context(gone, draws_row(100, 1.1))))


@pytest.mark.parametrize(("xs", "words"), [([0.5], "one point"), ([0.5, 0.5], "1 distinct x"), ([0, 0.5, 1], None)])
def test_degenerate_data_are_named_in_the_figure(xs, words):
    parameters = {**BASIC, "data_set": "given", "xs": xs, "ys": [0.1] * len(xs)}
    facts = data_facts(make_problem(parameters))
    assert (words in facts[0]) if words else facts == []
    row = draws_row(10, 1.0)
    row = make_row("posterior_draws", {**row.parameters, **parameters}, arrays=row.arrays, diagnostics=row.diagnostics)
    found = texts(drawn(figures.posterior_scaling, make_context(row)))
    assert words is None or words in found


# Outliers


def outlier_rows(**changes):
    generator = np.random.default_rng(5)
    n_points = ROBUST["n_points"]
    latents = {name: generator.normal(0, 0.3, 60) for name in "abc"}
    robust = latents | {"is_outlier": generator.random((60, n_points)) < 0.4, "outlier_rate": np.full(60, 0.25)}
    found = {"effective_sample_size": 1.4, "coefficient_error": 0.7, "outlier_probability_error": 0.5}
    sampled = {**ROBUST, "n_particles": 1000, "n_draws": 60}
    chained = {name: np.stack([0 * array, array], axis=1) for name, array in robust.items()}
    chained["is_outlier"] = np.stack([~robust["is_outlier"], robust["is_outlier"]], axis=1)
    chain_facts = {"coefficient_error": 0.01, "iterations_to_truth": 81.0, "iterations_needed": 131.0}
    marginal = {name: array for name, array in robust.items() if name != "is_outlier"}
    rows = {
        "misspecified_draws": ({**MISSPECIFIED, "n_particles": 1000, "n_draws": 60}, latents, found),
        "robust_importance_sampling": (sampled, robust, found),
        "robust_marginal_importance_sampling": (sampled, marginal, found),
        "gibbs_hmc": ({**ROBUST, "n_chains": 60, "n_steps": 2}, chained, chain_facts),
    }
    made = {}
    for task, (parameters, arrays, diagnostics) in rows.items():
        values = {"arrays": arrays, "diagnostics": diagnostics, **changes.get(task, {})}
        made[task] = make_row(task, parameters, **values)
    return made


def test_outlier_panels_compare_one_model_with_the_truth():
    rows = outlier_rows()
    drawing = drawn(figures.outlier_detection, make_context(*rows.values()))
    exact = make_problem(ROBUST).truth["posterior"].outlier_probability
    estimated = rows["robust_importance_sampling"].arrays["is_outlier"].mean(axis=0)
    panels = [axes for axes in drawing.axes if "largest error" in axes.get_title()]
    assert len(panels) == 2
    for panel in panels:  # the chains end where the draws are
        rings = next(line for line in panel.lines if line.get_label() == "exact")
        np.testing.assert_allclose(rings.get_ydata(), exact)
        assert panel.get_title() == f"largest error of P(outlier): {np.abs(estimated - exact).max():.2f}"
    found = texts(drawing)
    assert "importance sampling, N = 1,000" in found
    assert "60 chains × 2 iterations" in found
    assert "60 chains match the exact posterior after 131 iterations" in found


@pytest.mark.parametrize(
    ("needed", "words"),
    [(30.0, "after 30 iterations, 600 ms"), (300.0, "after 300 iterations, 15 s"), (np.nan, "not match the exact")],
)
def test_time_to_truth_is_the_share_of_the_shortest_row_that_gets_there(needed, words):
    rows = [
        make_row(
            "basic_hmc", {**BASIC, "n_chains": 40, "n_steps": n_steps}, median_s=seconds,
            diagnostics={"iterations_needed": needed},
        )
        for n_steps, seconds in ((50, 1.0), (400, 20.0))
    ]  # fmt: skip
    (fact,) = chain_facts(make_context(*rows), "basic_hmc", "HMC")
    assert words in fact
    found = texts(drawn(figures.posterior_scaling, make_context(draws_row(100, 1.1), *rows))).replace("\n", " ")
    assert words in found
    rows[0] = dataclasses.replace(rows[0], flags=("load average 3.1",))
    flags = chain_facts(make_context(*rows), "basic_hmc", "HMC")[1:]
    assert flags == ([] if np.isnan(needed) else ["1 of 2 measurements flagged as unstable"])
    assert chain_facts(make_context(), "basic_hmc", "HMC") == []
    invalid = make_row("basic_hmc", BASIC, status="invalid", reason="split R-hat is 1.6")
    assert chain_facts(make_context(invalid), "basic_hmc", "HMC") == ["HMC: invalid: split R-hat is 1.6"]


def test_fixed_rate_panels_compare_one_model_with_its_own_truth():
    fixed = {name: value for name, value in ROBUST.items() if not name.startswith("rate")} | {"outlier_rate": 0.1}
    rows = []
    for task, row in outlier_rows().items():
        if task == "misspecified_draws":
            rows.append(row)
            continue
        parameters = {n: v for n, v in row.parameters.items() if not n.startswith("rate")} | {"outlier_rate": 0.1}
        arrays = {name: array for name, array in row.arrays.items() if name != "outlier_rate"}
        name = "fixed_rate_" + task.removeprefix("robust_")
        rows.append(make_row(name, parameters, arrays=arrays, diagnostics=row.diagnostics))
    drawing = drawn(figures.outlier_detection_fixed_rate, make_context(*rows))
    exact = make_problem(fixed).truth["posterior"].outlier_probability
    panels = [axes for axes in drawing.axes if "largest error" in axes.get_title()]
    assert len(panels) == 2
    for panel in panels:
        rings = next(line for line in panel.lines if line.get_label() == "exact")
        np.testing.assert_allclose(rings.get_ydata(), exact)
    assert "outlier rate 0.1" in texts(drawing)


def test_outlier_panels_mark_what_is_missing():
    gone = {"status": "failed", "reason": "killed", "arrays": {}, "diagnostics": {}}
    rows = outlier_rows(gibbs_hmc=gone, misspecified_draws=gone)
    found = texts(drawn(figures.outlier_detection, make_context(*rows.values())))
    assert found.count("failed: killed") == 2
    few = outlier_rows()
    del few["gibbs_hmc"]
    assert "was not asked for" in texts(drawn(figures.outlier_detection, make_context(*few.values())))
