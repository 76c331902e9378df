"""Particles and sequential Monte Carlo: weights by hand, log Z against closed forms, invariances, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax import (
    ParticleCollection,
    Scan,
    change,
    const,
    extend,
    gen,
    init,
    mala,
    mh,
    normal,
    rejuvenate,
    rejuvenation_smc,
    resample,
    seed,
    sel,
)
from genjax.distributions import multivariate_normal
from genjax.extras import discrete_hmm, forward_filter, kalman_filter, linear_gaussian
from genjax.inference.kernels import MALA
from genjax.inference.smc import resample_vectorized_trace


@gen
def model(prior_mean):
    x = normal(prior_mean, 1.0) @ "x"
    normal(x, 0.5) @ "y"
    return x


Y = 1.5
EVIDENCE = stats.norm(0, np.sqrt(1.25)).logpdf(Y)
move_x = const(lambda trace: mh(trace, sel("x")))


def assert_unbiased(log_estimates, log_exact, sigmas=4.7):
    """`E[exp(log_estimate)] = exp(log_exact)`; at 4.7 standard errors the false-alarm rate is 2.6e-6 per call."""
    ratios = np.exp(np.asarray(log_estimates, np.float64) - log_exact)
    assert np.all(np.isfinite(ratios))
    assert abs(ratios.mean() - 1) < sigmas * ratios.std(ddof=1) / np.sqrt(len(ratios))


# init


def test_eager_init_of_half_a_million_particles_shares_its_arguments():
    @gen
    def regression(xs):
        slope = normal(0.0, 1.0) @ "slope"
        normal(slope * xs[0], 0.5) @ "y"

    particles = init(regression, (jnp.ones(1000),), const(500_000), {"y": Y})
    # The standard error of log Z is sqrt(N / ESS - 1) / sqrt(N) = 0.0024: 8e-3 is 3.4 of these, 7e-4 false alarms.
    assert particles.log_marginal_likelihood() == pytest.approx(EVIDENCE, abs=8e-3)
    assert 50_000 < particles.effective_sample_size() < 500_000
    assert particles.traces.get_args()[0][0].shape == (1000,)
    largest = max(leaf.size for leaf in jax.tree.leaves(particles))
    assert largest == 500_000  # a copy of the arguments per particle would be 500 million numbers
    one = particles.traces[3]
    assert one.get_args()[0][0].shape == (1000,)
    assert one.get_choices()["slope"] == particles.traces.get_choices()["slope"][3]


def test_init_fields():
    particles = init(model, (0.0,), 50, {"y": Y})
    assert particles.n_samples == 50 and particles.n_samples.value == 50
    assert particles.log_weights.shape == particles.diagnostic_weights.shape == (50,)
    assert particles.log_marginal_estimate == 0
    assert jax.nn.logsumexp(particles.diagnostic_weights) == pytest.approx(0, abs=1e-5)
    assert particles.traces.get_gen_fn() == model
    x = np.asarray(particles.traces.get_choices()["x"])
    np.testing.assert_allclose(particles.log_weights, stats.norm(x, 0.5).logpdf(Y), rtol=1e-4, atol=1e-5)
    rebuilt = ParticleCollection(particles.traces, particles.log_weights, particles.diagnostic_weights, const(50))
    assert rebuilt.log_marginal_likelihood() == particles.log_marginal_likelihood()


def test_init_with_a_proposal():
    @gen
    def proposal(constraints, prior_mean):
        normal(prior_mean + 0.8 * constraints["y"], 0.5) @ "x"

    particles = init(model, (0.0,), const(50_000), {"y": Y}, proposal_gf=proposal)
    # Weights vary by a factor of 1.3: 1.5e-2 is more than 10 standard errors.
    assert particles.log_marginal_likelihood() == pytest.approx(EVIDENCE, abs=1.5e-2)
    assert particles.effective_sample_size() > 0.5 * 50_000
    assert np.all(np.asarray(particles.traces.get_choices()["y"]) == Y)


def test_init_under_seed_is_deterministic_and_takes_plain_integers():
    first, second = (seed(init)(jax.random.key(3), model, (0.0,), 20, {"y": Y}) for _ in range(2))
    assert np.array_equal(first.log_weights, second.log_weights)
    assert len(np.unique(first.traces.get_choices()["x"])) == 20


def test_init_of_a_scan_and_of_a_vector_site():
    @gen
    def step(carry, _):
        carry = normal(carry, 1.0) @ "z"
        normal(carry, 1.0) @ "y"
        return carry, carry

    particles = seed(init)(jax.random.key(0), Scan(step, const(4)), (0.0, None), 30, {"y": jnp.zeros(4)})
    assert particles.traces.get_choices()["z"].shape == (30, 4)

    @gen
    def vector():
        v = normal(jnp.zeros(3), 1.0) @ "v"
        normal(v, 1.0) @ "y"

    assert init(vector, (), 30, {"y": jnp.ones(3)}).log_weights.shape == (30,)


# change


def test_change_to_the_same_model_changes_nothing():
    particles = init(model, (0.0,), 200, {"y": Y})
    same = change(particles, model, (0.0,), lambda choices: choices)
    np.testing.assert_allclose(same.log_weights, particles.log_weights, atol=2e-6)
    assert same.log_marginal_likelihood() == pytest.approx(float(particles.log_marginal_likelihood()), abs=1e-5)


def test_change_renames_and_reweights():
    @gen
    def wider(scale):
        z = normal(0.0, scale) @ "z"
        normal(z, 0.5) @ "y"

    particles = init(model, (0.0,), const(40_000), {"y": Y})
    changed = change(particles, wider, (1.3,), lambda choices: {"z": choices["x"], "y": choices["y"]})
    x = np.asarray(particles.traces.get_choices()["x"], np.float64)
    assert changed.n_samples == particles.n_samples
    assert np.array_equal(changed.traces.get_choices()["z"], particles.traces.get_choices()["x"])
    exact = particles.log_weights + stats.norm(0, 1.3).logpdf(x) - stats.norm(0, 1).logpdf(x)
    np.testing.assert_allclose(changed.log_weights, exact, atol=2e-4)
    # Relative standard error of Z about 1%: 5 of them.
    evidence = stats.norm(0, np.sqrt(1.3**2 + 0.25)).logpdf(Y)
    assert changed.log_marginal_likelihood() == pytest.approx(evidence, abs=0.05)


def test_change_draws_sites_that_only_the_new_model_has():
    @gen
    def longer(prior_mean):
        x = normal(prior_mean, 1.0) @ "x"
        normal(x, 0.5) @ "y"
        normal(x, 1.0) @ "new"

    particles = init(model, (0.0,), 100, {"y": Y})
    changed = change(particles, longer, (0.0,), lambda choices: choices)
    assert changed.traces.get_choices()["new"].shape == (100,)
    np.testing.assert_allclose(changed.log_weights, particles.log_weights, atol=2e-6)


# extend


@gen
def transition(x):
    x = normal(x, 0.7) @ "x"
    normal(x, 0.5) @ "y"
    return x


def test_extend_weight_is_that_of_the_new_constraints():
    particles = init(model, (0.0,), 100, {"y": Y})
    extended = extend(particles, transition, particles.traces.get_retval(), {"y": 0.5})
    x = np.asarray(extended.traces.get_choices()["x"])
    np.testing.assert_allclose(
        extended.log_weights, particles.log_weights + stats.norm(x, 0.5).logpdf(0.5), rtol=1e-4, atol=1e-5
    )
    assert extended.traces.get_args()[0][0].shape == (100,)
    assert set(extended.traces.get_choices()) == {"x", "y"}


def test_extend_with_a_proposal_that_sees_the_old_choices():
    @gen
    def proposal(constraints, old, x):
        normal(0.5 * (old["x"] + constraints["y"]), 0.6) @ "x"

    particles = resample(init(model, (0.0,), 100, {"y": Y}))
    old = np.asarray(particles.traces.get_choices()["x"], np.float64)
    extended = extend(particles, transition, (jnp.asarray(old, jnp.float32),), {"y": 0.5}, extension_proposal=proposal)
    x = np.asarray(extended.traces.get_choices()["x"], np.float64)
    log_joint = stats.norm(old, 0.7).logpdf(x) + stats.norm(x, 0.5).logpdf(0.5)
    log_proposal = stats.norm(0.5 * (old + 0.5), 0.6).logpdf(x)
    np.testing.assert_allclose(extended.log_weights, log_joint - log_proposal, rtol=1e-4, atol=2e-5)
    assert extended.log_marginal_estimate == particles.log_marginal_estimate


def test_extend_without_arguments_or_constraints():
    @gen
    def free():
        normal(0.0, 1.0) @ "w"

    @gen
    def proposal(constraints, old):
        normal(old["x"], 1.0) @ "w"

    particles = init(model, (0.0,), 50, {"y": Y})
    assert np.array_equal(extend(particles, free, (), {}).log_weights, particles.log_weights)
    extended = extend(particles, free, (), {}, proposal)
    x, w = (np.asarray(c, np.float64) for c in (particles.traces["x"], extended.traces["w"]))
    ratio = stats.norm(0, 1).logpdf(w) - stats.norm(x, 1).logpdf(w)
    np.testing.assert_allclose(extended.log_weights, particles.log_weights + ratio, rtol=1e-4, atol=2e-5)


def test_extend_refuses_arguments_that_are_not_per_particle():
    particles = init(model, (0.0,), 50, {"y": Y})
    for argument in (1.0, jnp.zeros(7)):
        with pytest.raises(ValueError, match="leading axis must be n_samples = 50"):
            extend(particles, transition, (argument,), {"y": 0.5})


# rejuvenate


@pytest.mark.parametrize("kernel", [move_x, lambda trace: mala(trace, sel("x"), step_size=0.3), MALA(sel("x"), 0.3)])
def test_rejuvenate_moves_particles_and_leaves_weights(kernel):
    particles = resample(init(model, (0.0,), 200, {"y": Y}))
    moved = rejuvenate(particles, kernel)
    for name in ("log_weights", "diagnostic_weights", "log_marginal_estimate", "ancestor_indices"):
        assert np.array_equal(getattr(moved, name), getattr(particles, name))
    assert moved.log_marginal_likelihood() == particles.log_marginal_likelihood()
    assert jax.tree.structure(moved) == jax.tree.structure(particles)
    changed = np.mean(np.asarray(moved.traces["x"]) != np.asarray(particles.traces["x"]))
    assert 0.1 < changed <= 1
    assert np.all(np.asarray(moved.traces["y"]) == Y)
    log_joint = stats.norm(0, 1).logpdf(moved.traces["x"]) + stats.norm(moved.traces["x"], 0.5).logpdf(Y)
    np.testing.assert_allclose(-moved.traces.scores(), log_joint, rtol=1e-4, atol=1e-5)


def test_rejuvenate_of_what_is_no_kernel_says_what_is():
    with pytest.raises(TypeError, match=r"A kernel is a Kernel, such as .* or a function from trace to trace, got str"):
        rejuvenate(init(model, (0.0,), 4, {"y": Y}), "mh")


def test_rejuvenate_after_extend_uses_the_arguments_of_each_particle():
    particles = init(model, (0.0,), 100, {"y": Y})
    extended = resample(extend(particles, transition, particles.traces.get_retval(), {"y": 0.5}))
    moved = rejuvenate(extended, move_x)
    previous, x = (np.asarray(a, np.float64) for a in (extended.traces.get_args()[0][0], moved.traces["x"]))
    log_joint = stats.norm(previous, 0.7).logpdf(x) + stats.norm(x, 0.5).logpdf(0.5)
    np.testing.assert_allclose(-moved.traces.scores(), log_joint, rtol=1e-4, atol=2e-5)


# resample


@pytest.mark.parametrize("method", ["categorical", "systematic", "stratified", "residual"])
def test_resample_keeps_the_log_marginal_likelihood(method):
    particles = init(model, (0.0,), 300, {"y": Y})
    resampled = resample(particles, method=method)
    assert resampled.log_marginal_likelihood() == pytest.approx(float(particles.log_marginal_likelihood()), rel=1e-6)
    assert np.all(np.asarray(resampled.log_weights) == 0)
    assert resampled.n_samples == particles.n_samples
    np.testing.assert_allclose(resampled.diagnostic_weights, particles.diagnostic_weights, atol=1e-6)
    x = np.asarray(particles.traces["x"])
    assert np.array_equal(resampled.traces["x"], x[np.asarray(resampled.ancestor_indices)])
    assert seed(resample)(jax.random.key(0), particles, method).effective_sample_size() == pytest.approx(300)


def test_resample_bad_method_and_trace_function():
    particles = init(model, (0.0,), 30, {"y": Y})
    with pytest.raises(ValueError, match="Unknown resampling method: 'best'"):
        resample(particles, method="best")
    assert resample_vectorized_trace(particles.traces, particles.log_weights, 7, "systematic")["x"].shape == (7,)


def test_when_every_particle_is_dead_the_log_marginal_likelihood_says_so():
    @gen
    def impossible():
        x = normal(0.0, 1.0) @ "x"
        normal(x, jnp.nan) @ "y"

    particles = init(impossible, (), 20, {"y": 1.0})
    assert particles.effective_sample_size() == 0
    assert particles.log_marginal_likelihood() == -jnp.inf
    resampled = resample(particles)
    assert np.array_equal(resampled.traces["x"], particles.traces["x"])
    assert resampled.log_marginal_likelihood() == -jnp.inf
    assert np.isnan(particles.estimate(lambda choices: choices["x"]))


# estimate


def test_estimate_of_any_shape_and_structure():
    particles = init(model, (0.0,), 4, {"y": Y})
    x = np.asarray(particles.traces["x"], np.float64)
    w = np.exp(np.asarray(particles.diagnostic_weights, np.float64))

    def matrices(choices):  # (4, 4) for 4 particles: dimensions that coincide
        row = choices["x"] * jnp.arange(4.0)
        return {"outer": jnp.outer(row, row), "positive": choices["x"] > 0, "both": (choices["x"], choices["y"])}

    result = particles.estimate(matrices)
    row = np.arange(4.0)
    np.testing.assert_allclose(result["outer"], (w * x**2).sum() * np.outer(row, row), rtol=1e-4)
    assert result["positive"] == pytest.approx((w * (x > 0)).sum(), rel=1e-4, abs=1e-6)
    assert result["both"][0] == pytest.approx((w * x).sum(), rel=1e-4)
    assert result["both"][1] == pytest.approx(Y)


def test_estimate_ignores_what_has_no_weight():
    particles = init(model, (0.0,), 3, {"y": Y})
    weights = jnp.array([0.0, -jnp.inf, 0.0])
    particles = ParticleCollection(particles.traces, weights, weights, 3)
    second = particles.traces["x"][1]
    assert np.isfinite(particles.estimate(lambda c: jnp.where(c["x"] == second, jnp.nan, 1.0)))


# rejuvenation_smc

LINEAR_GAUSSIAN = (
    jnp.array([0.5, -0.5]),
    jnp.diag(jnp.array([1.0, 0.5])),
    jnp.array([[0.9, 0.2], [0.0, 0.8]]),
    0.3 * jnp.eye(2),
    jnp.array([[1.0, 0.5]]),
    jnp.array([[0.4]]),
)
OBSERVATIONS = jnp.array([[0.3], [1.0], [-0.4], [0.8], [0.1]])
START = (jnp.zeros(2), jnp.array(0), *LINEAR_GAUSSIAN)


@gen
def lookahead(constraints, old, prev_state, time_index, initial_mean, initial_cov, A, Q, C, R):
    mean = A @ old["state"]
    gain = Q @ C.T @ jnp.linalg.inv(C @ Q @ C.T + R)
    multivariate_normal(mean + gain @ (constraints["obs"] - C @ mean), 1.3 * Q) @ "state"


@pytest.mark.parametrize(
    ("proposal", "kernel", "threshold", "method"),
    [
        (None, None, 0.5, "categorical"),
        (lookahead, None, 1.1, "systematic"),
        (None, const(lambda trace: mh(trace, sel("state"))), 0.0, "residual"),
    ],
)
def test_evidence_of_a_linear_gaussian_model_against_kalman(proposal, kernel, threshold, method):
    exact = kalman_filter(OBSERVATIONS, *LINEAR_GAUSSIAN)[2]

    def run(key):
        particles = seed(rejuvenation_smc)(
            key, linear_gaussian, proposal, kernel, {"obs": OBSERVATIONS}, START, const(100),
            ess_threshold=threshold, resampling_method=const(method),
        )  # fmt: skip
        return particles.log_marginal_likelihood(), particles.estimate(lambda c: c["state"])

    log_evidence, means = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(5), 200))
    assert_unbiased(log_evidence, float(exact))
    filtered = np.asarray(kalman_filter(OBSERVATIONS, *LINEAR_GAUSSIAN)[0])[-1]
    # A ratio of means has a bias of order 1/N, below 0.02 here; 4.7 standard errors on top.
    margin = 0.02 + 4.7 * np.asarray(means).std(0) / np.sqrt(200)
    assert np.all(np.abs(np.asarray(means).mean(0) - filtered) < margin)


def test_positional_call_and_stacked_results():
    particles = seed(rejuvenation_smc)(
        jax.random.key(0), linear_gaussian, None, const(lambda trace: mh(trace, sel("state"))), {"obs": OBSERVATIONS},
        START, const(60), const(True), const(2),
    )  # fmt: skip
    assert particles.traces.get_choices()["state"].shape == (5, 60, 2)
    assert particles.diagnostic_weights.shape == particles.log_weights.shape == (5, 60)
    assert particles.log_marginal_estimate.shape == (5,)
    assert particles.ancestor_indices.shape == (5, 60) and particles.ancestor_indices.dtype == jnp.int32
    assert particles.n_samples.value == 60
    states, times, *rest = particles.traces.get_args()[0]
    assert states.shape == (5, 60, 2) and np.array_equal(times[:, 0], np.arange(5))
    for kept, given in zip(rest, LINEAR_GAUSSIAN, strict=True):  # handed on unchanged: one per step, not per particle
        np.testing.assert_array_equal(kept, np.broadcast_to(given, (5, *given.shape)))
    by_step = jax.vmap(lambda p: (p.log_marginal_likelihood(), p.effective_sample_size()))(particles)
    np.testing.assert_allclose(by_step[0], particles.log_marginal_likelihood(), rtol=1e-6)
    assert particles.traces[2].get_args()[0][2].shape == (2,)


def test_a_kernel_moves_particles_as_its_function_does():
    by_kernel, by_function = (
        seed(rejuvenation_smc)(jax.random.key(0), model, None, kernel, {"y": jnp.zeros(3)}, (0.0,), 50)
        for kernel in (MALA(sel("x"), 0.3), const(lambda trace: mala(trace, sel("x"), step_size=0.3)))
    )
    np.testing.assert_allclose(by_kernel.traces["x"], by_function.traces["x"], rtol=1e-5)


def test_one_step_and_plain_python_arguments():
    one = seed(rejuvenation_smc)(
        jax.random.key(0), model, observations={"y": jnp.array([Y])}, initial_model_args=(0.0,), n_particles=20_000
    )
    # The standard error of log Z is 0.012: 5 of these, 6e-7 false alarms.
    assert one.log_marginal_likelihood() == pytest.approx(EVIDENCE, abs=0.06)
    assert one.traces.get_choices()["x"].shape == (20_000,)
    all_steps = seed(rejuvenation_smc)(
        jax.random.key(0), model, None, None, {"y": jnp.array([Y])}, (0,), 50, return_all_particles=True
    )
    assert all_steps.log_weights.shape == (1, 50)
    # An integer start whose next steps are floats.
    three = seed(rejuvenation_smc)(jax.random.key(0), model, None, move_x, {"y": jnp.zeros(3)}, (0,), 50)
    assert three.traces.get_choices()["x"].shape == (50,)


def test_a_discrete_model_against_forward_filtering():
    tables = (jnp.array([0.6, 0.4]), jnp.array([[0.7, 0.3], [0.4, 0.6]]), jnp.array([[0.9, 0.1], [0.2, 0.8]]))
    observations = jnp.array([0, 1, 0, 0])

    def run(key):
        return seed(rejuvenation_smc)(
            key, discrete_hmm, None, None, {"obs": observations}, (jnp.array(0), jnp.array(0), *tables), const(100)
        ).log_marginal_likelihood()

    estimates = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(1), 100))
    assert_unbiased(estimates, float(forward_filter(observations, *tables)[1]))


def test_sensor_arrays_per_step_and_mala():
    @gen
    def sensor(distance):
        return normal(distance, 0.3) @ "distance"

    @gen
    def robot(position, rays):
        position = normal(position, 0.5) @ "position"
        sensor.vmap()(position * rays) @ "rays"
        return position, rays

    observed = {"rays": {"distance": jnp.outer(jnp.array([0.1, 0.4, 0.9]), jnp.ones(8))}}
    particles = seed(rejuvenation_smc)(
        jax.random.key(0), robot, None, const(lambda trace: mala(trace, sel("position"), step_size=0.05)), observed,
        (0.0, jnp.ones(8)), const(300), const(True), const(2),
    )  # fmt: skip
    assert particles.traces.get_choices()["rays"]["distance"].shape == (3, 300, 8)
    assert particles.traces.get_args()[0][1].shape == (3, 8)
    position = particles.traces.get_choices()["position"][-1].mean()
    assert position == pytest.approx(0.9, abs=0.15)  # 8 sensors of 0.3 each: posterior standard deviation 0.1


def test_the_body_is_traced_a_fixed_number_of_times():
    calls = []

    @gen
    def counted(x):
        calls.append(1)
        x = normal(x, 1.0) @ "x"
        normal(x, 1.0) @ "y"
        return x

    for n_steps in (3, 40):
        calls.clear()
        seed(rejuvenation_smc)(jax.random.key(0), counted, None, None, {"y": jnp.zeros(n_steps)}, (0.0,), 10)
        assert 1 <= len(calls) <= 4


def test_bad_input():
    key, observed = jax.random.key(0), {"y": jnp.zeros(3)}
    run = seed(rejuvenation_smc)
    with pytest.raises(ValueError, match="needs `observations`"):
        run(key, model, None, None, None, (0.0,), 10)
    with pytest.raises(ValueError, match="same leading time axis"):
        run(key, model, None, None, {"x": jnp.zeros(2), "y": jnp.zeros(3)}, (0.0,), 10)
    with pytest.raises(ValueError, match="at least one step"):
        run(key, model, None, None, {"y": jnp.zeros(0)}, (0.0,), 10)
    with pytest.raises(ValueError, match="n_particles must be at least 1, got 0"):
        run(key, model, None, None, observed, (0.0,), 0)
    with pytest.raises(ValueError, match="n_rejuvenation_moves must not be negative"):
        run(key, model, None, None, observed, (0.0,), 10, n_rejuvenation_moves=-1)

    @gen
    def grows(x):
        x = normal(jnp.sum(x), 1.0) @ "x"
        normal(x, 1.0) @ "y"
        return jnp.stack([x, x])

    with pytest.raises(ValueError, match="feeds what gen.*returns to its next step"):
        run(key, grows, None, None, observed, (0.0,), 10)

    @gen
    def returns_two(x):
        x = normal(x, 1.0) @ "x"
        normal(x, 1.0) @ "y"
        return x, x

    with pytest.raises(ValueError, match="feeds what"):
        run(key, returns_two, None, None, observed, (0.0,), 10)
    with pytest.raises(ValueError, match="n_samples must be at least 1"):
        init(model, (0.0,), const(0), {"y": Y})
