"""The GenJAX programs of the curves: the Gibbs step against enumeration, densities, memory of the log evidence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

import genjax
from frameworks.genjax import GenJax, latents
from studies.curvefit.densities import log_likelihoods, outlier_probabilities
from studies.curvefit.models import genjax as models
from studies.curvefit.problem import make_problem

pytestmark = pytest.mark.usefixtures("unoptimised")
BASIC = {"data_set": "reference", "n_points": 20, "data_noise_sd": 0.05, "noise_sd": 0.05}
ROBUST = {
    "data_set": "outliers", "n_points": 6, "data_noise_sd": 0.1, "noise_sd": 0.1, "outlier_bound": 2.0,
    "rate_alpha": 1.0, "rate_beta": 3.0,
}  # fmt: skip
FIXED_RATE = {name: value for name, value in ROBUST.items() if not name.startswith("rate")} | {"outlier_rate": 0.3}
CURVE = {"a": -0.2, "b": -0.4, "c": 0.7}


@pytest.fixture(scope="module")
def framework():
    made = GenJax()
    made.start("cpu", "float32")
    return made


def moves(framework, n_chains, model="gibbs_hmc", **changes):
    """One step of the chain from a state that is known: its kernel, captured."""
    captured = {}

    class Recorder:
        def chains(self, model, args, constraints, kernel, **sizes):
            captured.update(model=model, args=args, constraints=constraints, kernel=kernel, start=sizes["start"])

    parameters = {**(changes or ROBUST), "n_chains": n_chains, "n_steps": 1, "step_size": 1e-4, "n_leapfrog": 1}
    problem = make_problem(parameters)
    getattr(models, model)(Recorder(), problem.data, parameters)
    return problem, captured


def test_gibbs_step_draws_indicators_and_rate_from_their_conditionals(framework):
    # 20,000 chains from one state. P(z): 6 binomial z-scores within 5, rate: Kolmogorov-Smirnov at 1e-7 per group:
    # false alarms 4e-6 for a fresh seed. Steps of 1e-4 leave the coefficients where they are.
    n_chains, rate = 20_000, 0.3
    problem, found = moves(framework, n_chains)
    start = {
        "curve": {name: jnp.float32(value) for name, value in CURVE.items()}, "outlier_rate": jnp.float32(rate),
        "ys": {"is_outlier": jnp.zeros(6, bool), **found["constraints"]["ys"]},
    }  # fmt: skip

    def step():
        trace, _ = found["model"].generate(start, *found["args"])
        return latents(found["kernel"](trace).get_choices(), found["constraints"])

    drawn = genjax.seed(genjax.modular_vmap(step, axis_size=n_chains))(jax.random.key(3))
    exact = outlier_probabilities(
        {**{name: np.float64(value) for name, value in CURVE.items()}, "outlier_rate": np.float64(rate)},
        problem.data, problem.truth,
    )  # fmt: skip
    z = np.asarray(drawn["is_outlier"])
    errors = (z.mean(axis=0) - exact) / np.sqrt(exact * (1 - exact) / n_chains + 1e-12)
    assert np.abs(errors).max() < 5
    np.testing.assert_allclose(np.corrcoef(z[:, :3].T)[np.triu_indices(3, 1)], 0, atol=5 / np.sqrt(n_chains))
    n_outliers = z.sum(axis=1)
    for k in np.unique(n_outliers):
        rates = np.asarray(drawn["outlier_rate"])[n_outliers == k]
        if len(rates) > 500:
            assert stats.kstest(rates, stats.beta(1 + k, 3 + 6 - k).cdf).pvalue > 1e-7
    np.testing.assert_allclose(np.asarray(drawn["a"]), CURVE["a"], atol=0.05)


def test_robust_and_marginal_densities_are_those_of_the_gate(framework):
    problem = make_problem(ROBUST)
    z = np.array([False, True, False, False, True, False])
    given = {"curve": {n: jnp.float32(v) for n, v in CURVE.items()}, "outlier_rate": jnp.float32(0.3)}
    flat = {**{n: np.float64(v) for n, v in CURVE.items()}, "outlier_rate": np.float64(0.3)}
    prior = sum(stats.norm.logpdf(v) for v in CURVE.values()) + stats.beta(1, 3).logpdf(0.3)
    with_indicators = given | {"ys": {"is_outlier": jnp.asarray(z), "y": {"obs": problem.data["ys"]}}}
    density = models.robust_model(ROBUST).assess(with_indicators, problem.data["xs"])[0]
    expected = prior + log_likelihoods({**flat, "is_outlier": z}, problem.data, problem.truth)
    expected += special.xlogy(2, 0.3) + special.xlog1py(4, -0.3)
    assert float(density) == pytest.approx(expected, abs=1e-3)
    summed = given | {"ys": {"obs": problem.data["ys"]}}
    density = models.marginal_model(ROBUST).assess(summed, problem.data["xs"])[0]
    assert float(density) == pytest.approx(prior + log_likelihoods(flat, problem.data, problem.truth), abs=1e-3)


def test_fixed_rate_gibbs_step_draws_indicators_and_keeps_the_rate(framework):
    # 20,000 chains, 6 binomial z-scores within 5: false alarms 4e-6 for a fresh seed.
    problem, found = moves(framework, 20_000, model="fixed_rate_gibbs_hmc", **FIXED_RATE)
    assert found["start"] == {"curve": dict.fromkeys("abc", 0.0)}
    start = {
        "curve": {name: jnp.float32(value) for name, value in CURVE.items()},
        "ys": {"is_outlier": jnp.zeros(6, bool), **found["constraints"]["ys"]},
    }  # fmt: skip

    def step():
        trace, _ = found["model"].generate(start, *found["args"])
        return latents(found["kernel"](trace).get_choices(), found["constraints"])

    drawn = genjax.seed(genjax.modular_vmap(step, axis_size=20_000))(jax.random.key(3))
    assert sorted(drawn) == ["a", "b", "c", "is_outlier"]
    exact = outlier_probabilities(
        {name: np.float64(value) for name, value in CURVE.items()}, problem.data, problem.truth
    )
    errors = (np.asarray(drawn["is_outlier"]).mean(axis=0) - exact) / np.sqrt(exact * (1 - exact) / 20_000 + 1e-12)
    assert np.abs(errors).max() < 5


def test_fixed_rate_densities_are_those_of_the_gate():
    problem = make_problem(FIXED_RATE)
    z = np.array([False, True, False, False, True, False])
    given = {"curve": {n: jnp.float32(v) for n, v in CURVE.items()}}
    flat = {n: np.float64(v) for n, v in CURVE.items()}
    prior = sum(stats.norm.logpdf(v) for v in CURVE.values())
    with_indicators = given | {"ys": {"is_outlier": jnp.asarray(z), "y": {"obs": problem.data["ys"]}}}
    density = models.robust_model(FIXED_RATE).assess(with_indicators, problem.data["xs"])[0]
    expected = prior + log_likelihoods({**flat, "is_outlier": z}, problem.data, problem.truth)
    expected += special.xlogy(2, 0.3) + special.xlog1py(4, -0.3)
    assert float(density) == pytest.approx(expected, abs=1e-3)
    density = models.marginal_model(FIXED_RATE).assess(given | {"ys": {"obs": problem.data["ys"]}}, problem.data["xs"])
    assert float(density[0]) == pytest.approx(prior + log_likelihoods(flat, problem.data, problem.truth), abs=1e-3)


@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize("n_points", [20, 200])
def test_a_million_particles_of_log_evidence_fit_in_20_megabytes(framework, n_points):
    parameters = {**BASIC, "n_points": n_points, "n_particles": 10**6, "batch_size": 2**18}
    parameters |= {"n_trials": 20, "n_large_trials": 20}
    program = models.evidence(framework, make_problem({**BASIC, "n_points": n_points}).data, parameters)
    assert framework.build(program, program.prepare(0)).cost["temporary_bytes"] <= 20e6


def test_log_evidence_does_not_depend_on_how_particles_are_batched(framework):
    # 64 replicates of 3,000 particles in one batch, and in three with a rest: one distribution (p at 1e-6).
    data = make_problem(BASIC).data
    sampled = []
    for seed, batch_size in enumerate((5000, 1000, 800)):
        parameters = {**BASIC, "n_particles": 3000, "batch_size": batch_size, "n_trials": 64, "n_large_trials": 64}
        program = models.evidence(framework, data, parameters)
        sampled.append(np.asarray(jax.jit(program.run)(program.prepare(seed))["log_evidence"]))
    assert all(np.isfinite(one).all() and len(np.unique(one)) == 64 for one in sampled)
    for one in sampled[1:]:
        assert stats.ks_2samp(sampled[0], one).pvalue > 1e-6


def test_latents_are_the_choices_that_are_not_constrained():
    choices = {"curve": {"a": 1, "b": 2}, "ys": {"z": 3, "y": {"obs": 4}}}
    assert latents(choices, {"ys": {"y": {"obs": 0}}}) == {"a": 1, "b": 2, "z": 3}
    with pytest.raises(ValueError, match=r"end in \['a'\]"):
        latents({"x": {"a": 1}, "y": {"a": 2}})
