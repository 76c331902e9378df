"""Oracles for the fair coin: data, exact answers against quadrature, and the gate against right and wrong outputs.

False alarms: the random draws below have fixed seeds, so a passing test stays passing. With fresh seeds a right answer
would be refused at most 2e-5 of the time per check (see `STANDARD_ERRORS`).
"""

import numpy as np
import pytest
from scipy import integrate, stats

from studies.faircoin import problem as faircoin

TASK = "importance_sampling"


def parameters(**changes):
    defaults = {
        "n_observations": 50,
        "n_particles": 2000,
        "prior_alpha": 10.0,
        "prior_beta": 10.0,
        "data_set": "eighty_twenty",
    }
    return {**defaults, **changes}


def right_outputs(chosen, seed=0):
    """What a correct float32 importance sampler returns."""
    observations = faircoin.make_problem(chosen).data["observations"]
    generator = np.random.default_rng(seed)
    samples = generator.beta(chosen["prior_alpha"], chosen["prior_beta"], chosen["n_particles"]).astype(np.float32)
    log_terms = np.where(observations == 1, np.log(samples)[:, None], np.log1p(-samples)[:, None])
    return {"latent_fairness": samples, "log_weights": log_terms.astype(np.float32).sum(1, dtype=np.float32)}


def judge(chosen, outputs):
    return faircoin.check(TASK, faircoin.make_problem(chosen), chosen, outputs)


# Data


@pytest.mark.parametrize(
    ("n_observations", "n_heads"), [(1, 0), (4, 3), (5, 4), (7, 5), (35, 28), (50, 40), (1000, 800)]
)
def test_eighty_twenty_data_has_floor_of_eight_tenths_heads_first(n_observations, n_heads):
    observations = faircoin.make_problem(parameters(n_observations=n_observations)).data["observations"]
    assert observations.dtype == np.float32
    assert observations.tolist() == [1.0] * n_heads + [0.0] * (n_observations - n_heads)


def test_all_heads_data_is_all_ones():
    observations = faircoin.make_problem(parameters(data_set="all_heads")).data["observations"]
    assert observations.tolist() == [1.0] * 50


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_observations": 0}, "n_observations=0"),
        ({"n_observations": -3}, "n_observations=-3"),
        ({"n_observations": 2.5}, "n_observations=2.5.*whole number"),
        ({"prior_alpha": 0.0}, "prior_alpha=0.0"),
        ({"prior_beta": float("nan")}, "prior_beta=nan"),
        ({"data_set": "biased"}, "data_set='biased'. Allowed: eighty_twenty, all_heads"),
    ],
)
def test_bad_parameters_are_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        faircoin.make_problem(parameters(**changes))


# Exact answers


@pytest.mark.parametrize(
    ("changes", "published"),
    [({}, -28.548691), ({"data_set": "all_heads"}, -15.118663), ({"prior_alpha": 1.0, "prior_beta": 1.0}, None)],
)
def test_exact_answers_agree_with_quadrature(changes, published):
    chosen = parameters(**changes)
    made = faircoin.make_problem(chosen)
    heads = made.data["observations"].sum()
    tails = 50 - heads

    def expectation(function):
        integrand = lambda f: (
            function(f) * f**heads * (1 - f) ** tails * stats.beta.pdf(f, chosen["prior_alpha"], chosen["prior_beta"])
        )
        # The integrands are polynomials of degree below 400, for which 200 nodes are exact.
        return integrate.fixed_quad(integrand, 0, 1, n=200)[0]

    evidence = expectation(lambda f: 1.0)
    mean = expectation(lambda f: f) / evidence
    sd = np.sqrt(expectation(lambda f: (f - mean) ** 2) / evidence)
    second_moment = expectation(lambda f: f**heads * (1 - f) ** tails)
    assert made.truth["log_marginal"] == pytest.approx(np.log(evidence), rel=1e-9)
    assert made.truth["posterior_mean"] == pytest.approx(mean, rel=1e-9)
    assert made.truth["posterior_sd"] == pytest.approx(sd, rel=1e-9)
    assert made.truth["relative_variance"] == pytest.approx(second_moment / evidence**2 - 1, rel=1e-7)
    if published is not None:
        assert made.truth["log_marginal"] == pytest.approx(published, abs=5e-7)


def test_posterior_of_the_published_figure():
    truth = faircoin.make_problem(parameters()).truth
    assert (truth["posterior_alpha"], truth["posterior_beta"]) == (50, 20)
    assert truth["posterior_mean"] == pytest.approx(0.714286, abs=5e-7)
    assert truth["posterior_sd"] == pytest.approx(0.053613, abs=5e-7)


def test_posterior_estimates_of_a_two_point_sample():
    # Weights 1 and 3: W = (1/4, 3/4).
    mean, sd, log_marginal, effective = faircoin.posterior_estimates(np.array([0.2, 0.6]), np.log([1.0, 3.0]))
    assert mean == pytest.approx(0.5)
    assert sd == pytest.approx(np.sqrt(0.25 * 0.09 + 0.75 * 0.01))
    assert log_marginal == pytest.approx(np.log(2.0))
    assert effective == pytest.approx(1 / (1 / 16 + 9 / 16))


def test_posterior_standard_errors_agree_with_the_spread_over_replicates():
    """Spread of 2,000 replicates: its own relative standard error is about 2%, so 10% is five of them (rate 6e-7)."""
    chosen = parameters()
    truth = faircoin.make_problem(chosen).truth
    generator = np.random.default_rng(3)
    samples = generator.beta(10, 10, (2000, 2000))
    log_weights = 40 * np.log(samples) + 10 * np.log1p(-samples)
    estimates = np.array([faircoin.posterior_estimates(*pair)[:2] for pair in zip(samples, log_weights, strict=True)])
    spread = estimates.std(0)
    assert spread == pytest.approx(faircoin.posterior_standard_errors(truth, 2000), rel=0.1)


# The gate accepts right answers


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_particles": 1000},
        {"n_particles": 100_000},
        {"data_set": "all_heads"},
        {"prior_alpha": 1.0, "prior_beta": 1.0},
        {"n_observations": 1},
    ],
)
def test_gate_accepts_a_right_answer(changes, seed):
    chosen = parameters(**changes)
    verdict = judge(chosen, right_outputs(chosen, seed))
    assert verdict.reason is None
    assert all(np.isfinite(value) for value in verdict.diagnostics.values())
    assert 1 <= verdict.diagnostics["effective_sample_size"] <= chosen["n_particles"]


def test_gate_accepts_particles_that_rounded_to_the_ends():
    """Beta(1, 1) draws can round to 0 or 1 in float32; likelihood zero there is right, however the system clamps it."""
    chosen = parameters(prior_alpha=1.0, prior_beta=1.0)
    outputs = right_outputs(chosen)
    outputs["latent_fairness"][:2] = [0.0, 1.0]
    for impossible in ([-np.inf, -np.inf], [40 * np.log(1e-38), 10 * np.log(1e-7)]):
        outputs["log_weights"][:2] = impossible
        assert judge(chosen, outputs).reason is None


# The gate refuses wrong answers, first of all those of the published artifact


def prior_twice(chosen, outputs):
    """The artifact's NumPyro weights: log joint of the model, the prior not divided out."""
    log_prior = stats.beta.logpdf(outputs["latent_fairness"], chosen["prior_alpha"], chosen["prior_beta"])
    outputs["log_weights"] = (outputs["log_weights"] + log_prior).astype(np.float32)


def prior_only(chosen, outputs):
    """The artifact's Pyro weights: they never look at the data."""
    log_prior = stats.beta.logpdf(outputs["latent_fairness"], chosen["prior_alpha"], chosen["prior_beta"])
    outputs["log_weights"] = log_prior.astype(np.float32)


def unreduced(chosen, outputs):
    """The artifact's hand-coded weights in the timed program: one log probability per particle and observation."""
    outputs["log_weights"] = np.repeat(outputs["log_weights"][:, None] / 50, 50, axis=1)


def constant_samples(chosen, outputs):
    outputs["latent_fairness"][:] = 0.5
    outputs["log_weights"][:] = 50 * np.log(0.5)


def repeated_samples(chosen, outputs):
    for name in outputs:
        outputs[name] = np.repeat(outputs[name][::4], 4)


def posterior_samples(chosen, outputs):
    """Draws from the posterior with likelihood weights: each weight is right for its particle, the proposal is not."""
    samples = np.random.default_rng(1).beta(50, 20, chosen["n_particles"]).astype(np.float32)
    outputs["latent_fairness"] = samples
    outputs["log_weights"] = (40 * np.log(samples) + 10 * np.log1p(-samples)).astype(np.float32)


def other_order(chosen, outputs):
    outputs["log_weights"] = outputs["log_weights"][::-1]


def one_observation_short(chosen, outputs):
    outputs["log_weights"] = outputs["log_weights"] - np.log1p(-outputs["latent_fairness"])


def zero_weights(chosen, outputs):
    outputs["log_weights"] = np.zeros_like(outputs["log_weights"])


def one_nan_weight(chosen, outputs):
    outputs["log_weights"][7] = np.nan


def one_infinite_weight(chosen, outputs):
    outputs["log_weights"][7] = -np.inf


def nan_sample(chosen, outputs):
    outputs["latent_fairness"][7] = np.nan


def outside(chosen, outputs):
    outputs["latent_fairness"][7] = 1.25


def too_few(chosen, outputs):
    for name in outputs:
        outputs[name] = outputs[name][:-1]


def no_samples(chosen, outputs):
    del outputs["latent_fairness"]


def no_weights(chosen, outputs):
    del outputs["log_weights"]


def whole_numbers(chosen, outputs):
    outputs["log_weights"] = outputs["log_weights"].astype(np.int32)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (prior_twice, "log_weights differ from the log likelihood"),
        (prior_only, "log_weights differ from the log likelihood"),
        (unreduced, r"log_weights has shape \(2000, 50\), expected \(2000,\)"),
        (constant_samples, "of the draws are distinct"),
        (repeated_samples, "of the draws are distinct"),
        (posterior_samples, "not independent draws from the prior: mean square"),
        (other_order, "log_weights differ"),
        (one_observation_short, "log_weights differ"),
        (zero_weights, "log_weights differ"),
        (one_nan_weight, "log_weights has 1 NaN of 2000"),
        (one_infinite_weight, "log_weights differ"),
        (nan_sample, "latent_fairness has 1 NaN of 2000"),
        (outside, r"outside of \[0, 1\]"),
        (too_few, r"shape \(1999,\), expected \(2000,\)"),
        (no_samples, "outputs lack 'latent_fairness'"),
        (no_weights, "outputs lack 'log_weights'"),
        (whole_numbers, "dtype int32"),
    ],
)
def test_gate_refuses(spoil, message):
    chosen = parameters()
    outputs = right_outputs(chosen)
    assert judge(chosen, outputs).reason is None
    spoil(chosen, outputs)
    with pytest.raises(AssertionError, match=message):
        reason = judge(chosen, outputs).reason
        assert reason is None, reason


def test_gate_refuses_the_right_weights_of_another_prior():
    """Same weights, particles of Beta(1, 1) where Beta(10, 10) was asked: only the sample's spread tells."""
    outputs = right_outputs(parameters(prior_alpha=1.0, prior_beta=1.0))
    assert "not independent draws from the prior: mean square" in judge(parameters(), outputs).reason


@pytest.mark.parametrize(
    ("step", "spoil", "message"),
    [
        ("_check_marginal", lambda samples, log_weights: (samples, log_weights + 0.6), "marginal likelihood"),
        ("_check_posterior", lambda samples, log_weights: (samples - 0.03, log_weights), "posterior mean"),
        (
            "_check_posterior",
            lambda samples, log_weights: (0.714 + 1.4 * (samples - 0.714), log_weights),
            "posterior sd",
        ),
    ],
)
def test_each_estimate_is_checked_on_its_own(step, spoil, message):
    """The later checks refuse what the earlier ones would have caught, so none of them is empty."""
    chosen = parameters(n_particles=20_000)
    made, outputs = faircoin.make_problem(chosen), right_outputs(chosen)
    samples, log_weights = (outputs[name].astype(np.float64) for name in ("latent_fairness", "log_weights"))
    check_step = getattr(faircoin, step)
    assert check_step(made, samples, log_weights, {}) is None
    assert message in check_step(made, *spoil(samples, log_weights), {})


def test_gate_has_no_other_task():
    with pytest.raises(ValueError, match="tasks are: importance_sampling"):
        faircoin.check("hmc", faircoin.make_problem(parameters()), parameters(), {})
