"""MALA against exact targets. Fixed seeds; means within 5 standard errors (see `exact`)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Const, categorical, gen, mala, modular_vmap, normal, seed, sel, state
from tests.genjax.inference import exact

KEY = jax.random.key(0)
N_STEPS = 8000


@gen
def plane():
    z = normal(jnp.zeros(2), 1.0) @ "z"
    return z


def test_coordinates_of_one_site_move_independently():
    """With one noise for all coordinates z1 - z2 would never change: its variance would be 0 instead of 2."""
    z = exact.run_chain(lambda t: mala(t, sel("z"), 1.2), seed(plane.simulate)(KEY), N_STEPS).traces["z"]
    exact.assert_mean((z[:, 0] - z[:, 1]) ** 2, 2.0)
    exact.assert_mean(z[:, 0] * z[:, 1], 0.0)


def test_conjugate_normal():
    trace, _ = exact.conjugate_normal.generate({"mu": 0.0, "y": 1.0})
    mu = exact.run_chain(lambda t: mala(t, sel("mu"), 0.5), trace, N_STEPS).traces["mu"]
    exact.assert_mean(mu, 0.8)
    exact.assert_mean((mu - 0.8) ** 2, 0.2)


def test_skewed_target():
    """A wrong sign of the drift, or of a correction, shows on a target without symmetry."""
    trace = seed(exact.skewed.simulate)(KEY)
    traces = exact.run_chain(lambda t: mala(t, sel("x", "y"), 0.6), trace, N_STEPS).traces
    x, y = traces["x"], traces["y"]
    exact.assert_mean(x, 0.0)
    exact.assert_mean(y, 0.5)
    exact.assert_mean((y - 0.5) ** 2, 1.5)
    exact.assert_mean(x**2 * y, 1.5, least_size=100)


@pytest.mark.parametrize(("transform", "step_size"), [(True, 0.9), (False, 0.15)])
def test_beta_bernoulli_stays_in_the_support(transform, step_size):
    trace, _ = exact.beta_bernoulli.generate({"p": 0.5, "flips": jnp.ones(4, bool)}, Const(4))
    result = exact.run_chain(lambda t: mala(t, sel("p"), step_size, transform=transform), trace, N_STEPS)
    p = result.traces["p"]
    assert result.acceptance_rate > 0.5
    assert p.min() >= 0
    assert p.max() <= 1
    assert jnp.all(jnp.isfinite(result.traces.scores()))
    exact.assert_mean(p, 6 / 9)


def test_log_alpha_is_the_ratio_of_densities_and_proposals():
    """The simplified correction equals log N(s; forward mean') - log N(s'; forward mean), by acceptance frequency."""
    trace, _ = exact.skewed.generate({"x": 0.8, "y": -0.4})
    n, tau = 20000, 0.7
    _, saved = jax.jit(jax.vmap(seed(state(lambda t: mala(t, sel(()), tau)))))(
        jax.random.split(KEY, n), jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (n, *jnp.shape(leaf))), trace)
    )
    s = np.array([0.8, -0.4])
    log_p = lambda s: -0.5 * s[0] ** 2 - 0.5 * (s[1] - s[0] ** 2 / 2) ** 2
    gradient = lambda s: np.array([-s[0] + (s[1] - s[0] ** 2 / 2) * s[0], -(s[1] - s[0] ** 2 / 2)])
    # Midpoint quadrature over the two noises.
    grid = (np.arange(400) + 0.5) / 400 * 12 - 6
    e = np.stack(np.meshgrid(grid, grid, indexing="ij"))
    drift = s + tau**2 / 2 * gradient(s)
    proposed = drift[:, None, None] + tau * e
    back = proposed + tau**2 / 2 * gradient(proposed)
    log_alpha = (
        log_p(proposed)
        - log_p(s)
        - ((s[:, None, None] - back) ** 2).sum(0) / (2 * tau**2)
        + ((proposed - drift[:, None, None]) ** 2).sum(0) / (2 * tau**2)
    )
    weight = np.exp(-0.5 * (e**2).sum(0)) / (2 * np.pi) * (grid[1] - grid[0]) ** 2
    rate = (weight * np.exp(np.minimum(0, log_alpha))).sum()
    assert abs(saved["accept"].mean() - rate) < exact.SIGMAS * np.sqrt(rate * (1 - rate) / n)


def test_larger_steps_are_accepted_less():
    trace, _ = exact.conjugate_normal.generate({"mu": 0.0, "y": 1.0})
    run = jax.jit(lambda tau: exact.run_chain(lambda t: mala(t, sel("mu"), step_size=tau), trace, 400).acceptance_rate)
    rates = [float(run(tau)) for tau in (0.01, 0.5, 2.0, 10.0)]
    assert rates[0] > 0.99
    assert rates[0] >= rates[1] >= rates[2] >= rates[3]
    assert rates[2] < 1.0
    assert rates[3] < 0.5


def test_vector_site_keeps_its_shape():
    @gen
    def model():
        return normal(jnp.zeros(3), 1.0) @ "v"

    trace = model.simulate()
    moved = seed(lambda t, tau: mala(t, sel("v"), tau))(KEY, trace, 0.1)  # a traced step size
    assert moved["v"].shape == (3,)
    assert np.all(np.asarray(moved["v"]) != np.asarray(trace["v"]))


def test_over_particles():
    traces = modular_vmap(plane.simulate, axis_size=20)()
    moved = modular_vmap(lambda t: mala(t, sel("z"), 0.1))(traces)
    assert moved["z"].shape == (20, 2)
    assert len(np.unique(np.asarray(moved["z"]))) == 40


@gen
def mixed():
    which = categorical(jnp.zeros(3)) @ "which"
    return normal(1.0 * which, 1.0) @ "x"


def test_nothing_selected():
    trace = mixed.simulate()
    moved, saved = state(lambda t: mala(t, sel(), 0.1))(trace)
    assert saved == {"accept": True}
    assert jax.tree.all(jax.tree.map(jnp.array_equal, moved, trace))


def test_discrete_choices_are_an_error_that_names_them():
    with pytest.raises(TypeError, match="mala was asked to move the choice 'which' of dtype int32"):
        mala(mixed.simulate(), sel("which", "x"), 0.1)
