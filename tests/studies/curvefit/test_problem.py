"""The problems of the curves, and gates on traces, particles and evidence: right answers pass, faults are named."""

import numpy as np
import pytest
from scipy import special, stats

from studies.curvefit.problem import check, make_problem

BASIC = {"data_set": "reference", "n_points": 20, "data_noise_sd": 0.05, "noise_sd": 0.05, "xs": None, "ys": None}
TRACES = {**BASIC, "data_set": "trace_points", "n_points": 5}
ROBUST = {
    "data_set": "outliers", "n_points": 10, "data_noise_sd": 0.1, "noise_sd": 0.1, "outlier_bound": 2.0,
    "rate_alpha": 1.0, "rate_beta": 3.0,
}  # fmt: skip


def log_likelihood(problem, particles):
    xs = problem.data["xs"].astype(np.float64)
    means = particles["a"][:, None] + particles["b"][:, None] * xs + particles["c"][:, None] * xs**2
    return stats.norm.logpdf(problem.data["ys"], means, problem.truth["noise_sd"]).sum(axis=-1)


def particles_of(problem, n, seed=0):
    generator = np.random.default_rng(seed)
    outputs = {name: generator.standard_normal(n) for name in "abc"}
    return outputs | {"log_weights": log_likelihood(problem, outputs)}


def verdict(task, parameters, outputs):
    return check(task, make_problem(parameters), parameters, outputs)


# Problems


def test_problem_holds_data_and_truth():
    basic, robust = make_problem(BASIC), make_problem(ROBUST)
    assert basic.data["ys"].dtype == np.float32
    assert basic.data["ys"].shape == (20,)
    assert basic.truth["posterior"].log_evidence == pytest.approx(26.6858, abs=5e-5)
    assert robust.truth["posterior"].outlier_probability.shape == (10,)
    assert basic.truth["true_coefficients"] == (-0.211, -0.395, 0.673)


def test_trace_points_are_the_published_locations():
    problem = make_problem(TRACES)
    np.testing.assert_allclose(problem.data["xs"], [0.1, 0.3, 0.5, 0.7, 0.9], rtol=1e-6)
    assert list(problem.data) == ["xs"]


def test_data_may_be_given():
    problem = make_problem({**BASIC, "data_set": "given", "xs": [0.0, 1], "ys": [0.1, 0.2]})
    assert problem.data["ys"].tolist() == [np.float32(0.1), np.float32(0.2)]
    assert "true_coefficients" not in problem.truth


@pytest.mark.parametrize(("xs", "ys"), [([0.5], [0.2]), ([0.5, 0.5, 0.5], [0.1, 0.2, 0.3])])
def test_degenerate_data_leave_a_proper_posterior(xs, ys):
    posterior = make_problem({**BASIC, "data_set": "given", "xs": xs, "ys": ys}).truth["posterior"]
    assert np.isfinite(posterior.log_evidence)
    assert (posterior.sd > 0).all()
    assert posterior.sd.max() <= 1.0  # never wider than the prior


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_set": "given", "xs": [0.0, float("nan")], "ys": [0.0, 0.0]}, "not finite"),
        ({"data_set": "given", "xs": [0.0, "?"], "ys": [0.0, 0.0]}, "not numbers"),
        ({"data_set": "given", "xs": [0.0], "ys": [0.0, 1.0]}, "two lists of one length"),
        ({"data_set": "given", "xs": [], "ys": []}, "at least one point"),
        ({"data_set": "given"}, "needs xs and ys"),
        ({"data_set": "other"}, "Allowed: reference, outliers, trace_points, given"),
        ({"noise_sd": 0.0}, "noise_sd=0.0.*greater than zero"),
        ({"data_noise_sd": float("nan")}, "data_noise_sd=nan"),
        ({"n_points": 0}, "n_points=0.*whole number"),
        ({"n_particles": 2**31}, "n_particles=2147483648.*from 1 to 2,147,483,647"),
        ({"n_trials": 0}, "n_trials=0"),
        ({"outlier_bound": 2.0, "outlier_rate": 1.0}, "outlier_rate=1.0.*between 0 and 1"),
        ({"outlier_bound": 2.0}, "either outlier_rate or both"),
        ({"outlier_bound": 2.0, "outlier_rate": 0.1, "rate_alpha": 1.0, "rate_beta": 3.0}, "either outlier_rate or"),
    ],
)
def test_bad_parameters_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_problem({**BASIC, **changes})


def test_too_many_points_for_enumeration_are_refused():
    with pytest.raises(ValueError, match="limit is 20"):
        make_problem({**ROBUST, "n_points": 21})


# Traces


def traces(n=3):
    generator = np.random.default_rng(1)
    outputs = {name: generator.standard_normal(n) for name in "abc"}
    xs = make_problem(TRACES).data["xs"].astype(np.float64)
    means = outputs["a"][:, None] + outputs["b"][:, None] * xs + outputs["c"][:, None] * xs**2
    outputs["obs"] = means + 0.05 * generator.standard_normal((n, 5))
    outputs["log_density"] = stats.norm.logpdf(outputs["obs"], means, 0.05).sum(axis=-1)
    outputs["log_density"] += sum(stats.norm.logpdf(outputs[name]) for name in "abc")
    return outputs


def test_traces_pass_alone_and_together():
    outputs = traces()
    assert verdict("prior_traces", {**TRACES, "n_traces": 3}, outputs).reason is None
    assert verdict("single_trace", TRACES, {name: array[0] for name, array in outputs.items()}).reason is None


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda o: o | {"log_density": -o["log_density"]}, "opposite sign"),
        (lambda o: o | {"log_density": o["log_density"] + 0.01}, "log_density differ"),
        (lambda o: o | {"log_density": o["log_density"][:2]}, "has shape"),
        (lambda o: {name: o[name] for name in ("a", "b", "c", "obs")}, "outputs lack 'log_density'"),
        (lambda o: o | {"a": np.full(3, np.nan)}, "3 NaN of 3"),
    ],
)
def test_faulty_traces_are_refused(fault, message):
    assert message in verdict("prior_traces", {**TRACES, "n_traces": 3}, fault(traces())).reason


# Particles

# Gate of 2,000 particles: six tests at 1e-7 or 5.5 standard errors, so about 1e-6 false alarms for a fresh seed.


def test_particles_pass():
    parameters = {**BASIC, "n_particles": 2000}
    found = verdict("importance_sampling", parameters, particles_of(make_problem(BASIC), 2000))
    assert found.reason is None
    assert found.diagnostics["log_weights_relative_error"] < 1e-9
    assert 1 <= found.diagnostics["effective_sample_size"] <= 2000


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        # The three wrong weights of the published comparison: the prior twice, the prior alone, nothing.
        (lambda p, o: o | {"log_weights": o["log_weights"] + stats.norm.logpdf(o["a"])}, "log_weights differ"),
        (lambda p, o: o | {"log_weights": sum(stats.norm.logpdf(o[n]) for n in "abc")}, "log_weights differ"),
        (lambda p, o: o | {"log_weights": np.zeros(2000)}, "log_weights differ"),
        (lambda p, o: reweighted(p, o | {"a": 1.3 * o["a"]}), "not independent draws from the prior: mean square"),
        (lambda p, o: reweighted(p, o | {"b": o["a"]}), "distinct in absolute value"),
        (lambda p, o: {name: array[:-1] for name, array in o.items()}, "has shape (1999,)"),
    ],
)
def test_faulty_particles_are_refused(fault, message):
    problem = make_problem(BASIC)
    outputs = fault(problem, particles_of(problem, 2000))
    assert message in verdict("importance_sampling", {**BASIC, "n_particles": 2000}, outputs).reason


def reweighted(problem, outputs):
    return outputs | {"log_weights": log_likelihood(problem, outputs)}


# Evidence


def evidence(n, n_trials, shift=0.0):
    problem, estimates = make_problem(BASIC), []
    for seed in range(n_trials):
        log_weights = particles_of(problem, n, seed)["log_weights"]
        estimates.append(special.logsumexp(log_weights) - np.log(n) + shift)
    parameters = {**BASIC, "n_particles": n, "n_trials": n_trials, "n_large_trials": n_trials}
    return verdict("evidence", parameters, {"log_evidence": np.array(estimates)})


@pytest.mark.parametrize("n", [10, 1000, 100_000])
def test_evidence_passes_at_every_size(n):
    assert evidence(n, 20 if n < 10_000 else 4).reason is None


def test_a_forgotten_division_by_the_number_of_particles_is_refused():
    # At 100,000 particles against the exact value, below against the distribution of the estimate.
    assert "standard errors off" in evidence(100_000, 4, shift=np.log(100_000)).reason
    assert "is not distributed as it should be" in evidence(1000, 20, shift=30.0).reason


def test_replicates_must_differ():
    parameters = {**BASIC, "n_particles": 10, "n_trials": 5, "n_large_trials": 5}
    assert "repeat" in verdict("evidence", parameters, {"log_evidence": np.full(5, 20.0)}).reason


def test_fewer_replicates_of_large_estimates_may_be_asked_for():
    parameters = {**BASIC, "n_particles": 200_000, "n_trials": 20, "n_large_trials": 2}
    exact = make_problem(BASIC).truth["posterior"].log_evidence
    assert verdict("evidence", parameters, {"log_evidence": exact + np.array([0.1, -0.1])}).reason is None
    assert "has shape" in verdict("evidence", parameters, {"log_evidence": np.full(20, exact)}).reason


def test_unknown_task_names_those_that_exist():
    with pytest.raises(ValueError, match="Tasks: single_trace, prior_traces"):
        verdict("hmc", BASIC, {})
