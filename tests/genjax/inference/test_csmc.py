"""Conditional SMC: the retained particle and its weight by hand; particle Gibbs against the Kalman smoother."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax import categorical, const, gen, init, masked, normal, seed
from genjax.extras import kalman_smoother
from genjax.inference import ancestral_lineage, extend_csmc, init_csmc, resample_csmc


@gen
def two(scale):
    a = normal(0.0, scale) @ "a"
    b = normal(a, 1.0) @ "b"
    normal(b, 0.5) @ "y"
    return a


@gen
def proposes_b(constraints, *args):
    normal(constraints["y"], 0.7) @ "b"


RETAINED = {"a": 0.3, "b": jnp.array(0.9)}


@pytest.mark.parametrize("n", [1, 2, 20])
def test_particle_zero_is_the_retained_one(n):
    particles = init_csmc(two, (2.0,), const(n), {"y": 1.5}, RETAINED)
    choices = particles.traces.get_choices()
    assert {addr: float(value[0]) for addr, value in choices.items()} == pytest.approx({"a": 0.3, "b": 0.9, "y": 1.5})
    assert len(np.unique(choices["b"])) == n
    # The default proposal is the prior of a and b: what remains is the likelihood.
    np.testing.assert_allclose(particles.log_weights, stats.norm(choices["b"], 0.5).logpdf(1.5), rtol=1e-4, atol=1e-5)
    log_joint = stats.norm(0, 2).logpdf(0.3) + stats.norm(0.3, 1).logpdf(0.9) + stats.norm(0.9, 0.5).logpdf(1.5)
    assert particles.traces.scores()[0] == pytest.approx(-log_joint, rel=1e-5)
    assert particles.traces.get_retval()[0] == pytest.approx(0.3)
    assert jax.nn.logsumexp(particles.diagnostic_weights) == pytest.approx(0, abs=1e-5)
    assert jax.tree.structure(particles) == jax.tree.structure(init(two, (2.0,), n, {"y": 1.5}))


def test_weight_of_the_retained_particle_under_a_partial_proposal():
    particles = init_csmc(two, (2.0,), 10, {"y": 1.5}, RETAINED, proposes_b)
    a, b = (np.asarray(particles.traces[addr], np.float64) for addr in "ab")
    exact = stats.norm(a, 1).logpdf(b) + stats.norm(b, 0.5).logpdf(1.5) - stats.norm(1.5, 0.7).logpdf(b)
    np.testing.assert_allclose(particles.log_weights, exact, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("proposal", [None, proposes_b])
def test_extend_csmc(proposal):
    @gen
    def step(previous):
        b = normal(previous, 1.0) @ "b"
        normal(b, 0.5) @ "y"
        return b

    particles = init_csmc(two, (2.0,), 10, {"y": 1.5}, RETAINED)
    extended = extend_csmc(particles, step, particles.traces["b"], {"y": 0.2}, {"b": -0.4}, proposal)
    previous, b = (np.asarray(p.traces["b"], np.float64) for p in (particles, extended))
    assert b[0] == pytest.approx(-0.4) and np.all(b[1:] != b[0])
    change = stats.norm(b, 0.5).logpdf(0.2)
    if proposal is not None:
        change += stats.norm(previous, 1).logpdf(b) - stats.norm(0.2, 0.7).logpdf(b)
    np.testing.assert_allclose(extended.log_weights, particles.log_weights + change, rtol=1e-4, atol=3e-5)
    assert extended.traces.get_args()[0][0][0] == pytest.approx(0.9)


def test_conditional_resampling_keeps_particle_zero_and_draws_the_others_by_weight():
    particles = init_csmc(two, (2.0,), 4, {"y": 1.5}, RETAINED)

    def run(key):
        return seed(resample_csmc)(key, particles).ancestor_indices

    ancestors = np.asarray(jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(2), 10_000)))
    assert np.all(ancestors[:, 0] == 0)
    expected = 3 * np.exp(np.asarray(particles.diagnostic_weights, np.float64))
    counts = (ancestors[:, 1:, None] == np.arange(4)).sum(1)
    standard_error = counts.std(0) / np.sqrt(len(counts)) + 1e-4
    assert np.all(np.abs(counts.mean(0) - expected) < 4.7 * standard_error)  # 4 comparisons: 1e-5 false alarms
    resampled = resample_csmc(particles)
    assert resampled.traces["b"][0] == pytest.approx(0.9)
    assert resampled.log_marginal_likelihood() == pytest.approx(float(particles.log_marginal_likelihood()), rel=1e-5)
    alone = resample_csmc(init_csmc(two, (2.0,), 1, {"y": 1.5}, RETAINED))
    assert alone.ancestor_indices.tolist() == [0]


def test_particle_gibbs_against_the_kalman_smoother():
    """512 independent chains, 40 sweeps, 6 particles: means and variances of all states at 4.7 standard errors.

    Ten comparisons: false-alarm rate 3e-5. The chains start far from the posterior; 40 sweeps forget that, because
    every state is redrawn with probability above 1/2 per sweep.
    """
    q, r, observations = 0.5, 0.3, jnp.array([0.5, -0.3, 1.2, 0.4, 2.0])

    @gen
    def first():
        x = normal(0.0, 1.0) @ "x"
        normal(x, jnp.sqrt(r)) @ "y"

    @gen
    def later(previous):
        x = normal(0.9 * previous, jnp.sqrt(q)) @ "x"
        normal(x, jnp.sqrt(r)) @ "y"

    def sweep(path, _):
        particles = resample_csmc(init_csmc(first, (), const(6), {"y": observations[0]}, {"x": path[0]}))
        states, ancestors = [particles.traces["x"]], [particles.ancestor_indices]
        for t in range(1, 5):
            args = (particles.traces["x"],)
            particles = extend_csmc(particles, later, args, {"y": observations[t]}, {"x": path[t]})
            particles = resample_csmc(particles)
            states.append(particles.traces["x"])
            ancestors.append(particles.ancestor_indices)
        # After the last resampling all weights are equal, so the new path is any of the particles, uniformly.
        index = categorical.sample(jnp.zeros(6))
        lineage = ancestral_lineage(jnp.stack(ancestors), index)
        return jnp.stack(states)[jnp.arange(5), lineage], None

    def chain_of_sweeps():
        return jax.lax.scan(sweep, jnp.full(5, 3.0), None, length=40)[0]

    keys = jax.random.split(jax.random.key(11), 512)
    paths = np.asarray(jax.jit(jax.vmap(seed(chain_of_sweeps)))(keys), np.float64)
    model = (jnp.zeros(1), jnp.eye(1), 0.9 * jnp.eye(1), q * jnp.eye(1), jnp.eye(1), r * jnp.eye(1))
    means, covariances = kalman_smoother(observations[:, None], *model)
    variances = np.asarray(covariances)[:, 0, 0]
    assert np.all(np.abs(paths.mean(0) - np.asarray(means)[:, 0]) < 4.7 * np.sqrt(variances / 512))
    assert np.all(np.abs(paths.var(0) - variances) < 4.7 * variances * np.sqrt(2 / 512))


def test_bad_input():
    run = lambda retained, constraints=None, n=5, proposal=None: init_csmc(
        two, (2.0,), n, {"y": 1.5} if constraints is None else constraints, retained, proposal
    )
    with pytest.raises(ValueError, match="n_samples must be at least 1"):
        run(RETAINED, n=0)
    with pytest.raises(ValueError, match="'b' is missing"):
        run({"a": 0.3})
    with pytest.raises(ValueError, match="'c' is not an address of the target"):
        run({**RETAINED, "c": 1.0})
    with pytest.raises(ValueError, match=r"'b' has shape \(3,\) instead of \(\)"):
        run({"a": 0.3, "b": jnp.zeros(3)})
    with pytest.raises(ValueError, match=r"'b' has shape \(2,\) instead of \(\)"):
        extend_csmc(run(RETAINED), two, jnp.ones(5), {"y": 1.5}, {"a": 0.3, "b": jnp.zeros(2)})
    with pytest.raises(ValueError, match="whole constraints"):
        run(RETAINED, {"y": masked(True, 1.5)})

    @gen
    def proposes_y(constraints, scale):
        normal(0.0, 1.0) @ "y"

    with pytest.raises(ValueError, match="choices at constrained addresses"):
        run(RETAINED, proposal=proposes_y)
    # A whole old choice map is welcome: the constraints win.
    assert run({**RETAINED, "y": 7.0}).traces["y"][0] == pytest.approx(1.5)
