"""The gate of Hamiltonian Monte Carlo: exact chains pass, every fault is named; and the programs themselves."""

import jax
import numpy as np
import pytest

from frameworks.genjax import GenJax
from frameworks.handcoded_jax import HandcodedJax
from frameworks.numpyro import NumPyro
from studies.chain_diagnostics import split_r_hat
from studies.curvefit.densities import marginal_density
from studies.curvefit.gate_hmc import WINDOW
from studies.curvefit.models import genjax, handcoded_jax, numpyro
from studies.curvefit.problem import check, make_problem

pytestmark = pytest.mark.usefixtures("unoptimised")
BASIC = {"data_set": "reference", "n_points": 20, "data_noise_sd": 0.05, "noise_sd": 0.05}
FIXED_RATE = {
    "data_set": "outliers", "n_points": 8, "data_noise_sd": 0.1, "noise_sd": 0.1, "outlier_bound": 2.0,
    "outlier_rate": 0.1,
}  # fmt: skip
N_CHAINS, N_STEPS = 200, 60
SIZES = {"n_chains": N_CHAINS, "n_steps": N_STEPS, "step_size": 0.012, "n_leapfrog": 60}


def exact_chains(posterior, seed=0):
    """Chains of independent draws from a normal posterior, of which a fifth is rejected: the state before stays."""
    generator = np.random.default_rng(seed)
    draws = generator.multivariate_normal(posterior.mean, posterior.covariance, (N_CHAINS, N_STEPS))
    for step in range(1, N_STEPS):
        stays = generator.random(N_CHAINS) < 0.2
        draws[stays, step] = draws[stays, step - 1]
    return dict(zip("abc", np.moveaxis(draws, -1, 0), strict=True))


@pytest.fixture(scope="module")
def chains():
    return exact_chains(make_problem(BASIC).truth["posterior"])


def verdict(outputs, **changes):
    parameters = {**BASIC, **SIZES, **changes}
    return check("basic_hmc", make_problem(BASIC), parameters, outputs)


# 200 chains, 30 later states each, of which 0.67 are worth a draw: means are right to 0.016 posterior sd. Three of them
# within 4 standard errors: false alarms 2e-4 for a fresh seed.


def test_exact_draws_are_where_the_posterior_is_but_not_steps_of_the_kernel(chains):
    found = verdict(chains)
    assert "by right steps from the same states" in found.reason
    assert found.diagnostics["iterations_to_truth"] == 0
    assert found.diagnostics["acceptance_rate"] == pytest.approx(0.8, abs=0.02)
    assert found.diagnostics["r_hat"] < 1.04
    assert 0.005 < found.diagnostics["standard_errors"] < 0.03


def test_the_way_from_the_start_counts(chains):
    late = {name: array.copy() for name, array in chains.items()}
    late["a"][:, :20] = np.linspace(9.0, 8.0, 20)
    found = verdict(late)
    assert "by right steps from the same states" in found.reason  # the later half is where it should be
    assert 20 - WINDOW < found.diagnostics["iterations_to_truth"] <= 20


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda o: {n: np.repeat(v[:, :1], N_STEPS, axis=1) for n, v in o.items()}, "HMC accepts 0 of its moves"),
        (lambda o: o | {"a": o["a"] + np.arange(N_STEPS) * 1e-6}, "HMC accepts 1 of its moves"),
        (lambda o: {n: np.where(np.arange(N_CHAINS)[:, None] == 3, v[3, 0], v) for n, v in o.items()}, "stands still"),
        (lambda o: {n: np.repeat(v[: N_CHAINS // 2], 2, axis=0) for n, v in o.items()}, "repeat each other"),
        (lambda o: o | {"b": o["b"] + np.linspace(-1, 1, N_CHAINS)[:, None]}, "split R-hat is"),
        (lambda o: o | {"a": o["a"] + 0.004}, "a coefficient's mean is"),
        (lambda o: o | {"c": 1.3 * o["c"] - 0.3 * o["c"].mean()}, "a coefficient's spread is"),
        (lambda o: o | {"c": o["c"][:, :-1]}, "has shape"),
        (lambda o: o | {"c": np.where(o["c"] > 1, np.nan, o["c"])}, "NaN of"),
    ],
)
def test_faulty_chains_are_refused(chains, fault, message):
    assert message in verdict(fault(chains)).reason


def right_chains(problem, seed=0):
    """Chains of Hamiltonian Monte Carlo in float64, from zero."""
    density, generator = marginal_density(problem.data, problem.truth), np.random.default_rng(seed)
    state, states = np.zeros((N_CHAINS, 3)), []
    for _ in range(N_STEPS):
        first = momentum = generator.standard_normal(state.shape)
        new, (before, gradient) = state, density(state)
        for _ in range(31):
            momentum = momentum + 0.015 * gradient
            new = new + 0.03 * momentum
            after, gradient = density(new)
            momentum = momentum + 0.015 * gradient
        log_alpha = after - before - 0.5 * ((momentum**2).sum(axis=-1) - (first**2).sum(axis=-1))
        state = np.where((np.log(generator.random(N_CHAINS)) < log_alpha)[:, None], new, state)
        states.append(state)
    return dict(zip("abc", np.moveaxis(np.array(states), (0, 1, 2), (2, 1, 0)), strict=True))


def test_gradient_of_the_marginal_density_agrees_with_finite_differences():
    problem = make_problem(FIXED_RATE)
    density, states = marginal_density(problem.data, problem.truth), np.random.default_rng(0).standard_normal((5, 3))
    for axis in np.eye(3) * 1e-5:
        difference = (density(states + axis)[0] - density(states - axis)[0]) / 2e-5
        np.testing.assert_allclose(density(states)[1] @ axis / 1e-5, difference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_right_chains_pass_and_those_of_other_settings_do_not(seed):
    problem = make_problem(FIXED_RATE)
    outputs, parameters = right_chains(problem, seed), {**FIXED_RATE, **SIZES, "step_size": 0.03, "n_leapfrog": 31}
    assert check("fixed_rate_marginal_hmc", problem, parameters, outputs).reason is None
    wrong = check("fixed_rate_marginal_hmc", problem, {**parameters, "n_leapfrog": 29}, outputs).reason
    assert "by right steps from the same states" in wrong


def test_few_chains_or_steps_cannot_be_judged(chains):
    assert "cannot be judged" in verdict(chains, n_chains=5).reason
    assert "cannot be judged" in verdict(chains, n_steps=10).reason


def test_outliers_are_held_against_the_truth_where_indicators_are_summed_out():
    problem = make_problem(FIXED_RATE)
    # The posterior is nearly normal: an outlier is certain to be one.
    parameters = {**FIXED_RATE, **SIZES}
    outputs = exact_chains(problem.truth["posterior"])
    found = check("fixed_rate_marginal_hmc", problem, parameters, outputs)
    assert "by right steps from the same states" in found.reason
    assert found.diagnostics["outlier_probability_error"] < 0.02
    problem.truth["outlier_rate"] = 0.6  # P(outlier) given each state as another rate has it
    assert "P(outlier) is" in check("fixed_rate_marginal_hmc", problem, parameters, outputs).reason


def test_split_r_hat_sees_a_drift_that_all_chains_share():
    generator = np.random.default_rng(4)
    still = generator.standard_normal((50, 100, 2))
    drifting = still + np.linspace(0, 3, 100)[:, None] * [0.0, 1.0]
    assert split_r_hat(still).max() < 1.02
    steady, drifted = split_r_hat(drifting)
    assert steady < 1.02 < 1.2 < drifted
    assert np.isinf(split_r_hat(np.ones((4, 10, 1)))).all()


@pytest.mark.parametrize(
    ("system", "models"),
    [(GenJax, genjax), (HandcodedJax, handcoded_jax), (NumPyro, numpyro)],
    ids=lambda x: x.__name__,
)
def test_programs_reach_the_posterior_from_the_prior_mean(system, models):
    # 100 chains of 40 steps, the gate of this study: false alarms 2e-4 for a fresh seed.
    framework = system()
    framework.start("cpu", "float32")
    parameters = {**BASIC, "n_chains": 100, "n_steps": 40, "step_size": 0.012, "n_leapfrog": 60}
    problem = make_problem(BASIC)
    program = models.basic_hmc(framework, problem.data, parameters)
    outputs = {name: np.asarray(array) for name, array in jax.jit(program.run)(program.prepare(1)).items()}
    found = check("basic_hmc", problem, parameters, outputs)
    assert found.reason is None
    assert 0.7 < found.diagnostics["acceptance_rate"] < 0.95
