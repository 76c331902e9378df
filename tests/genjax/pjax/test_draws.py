"""Keys and draws of many sites, made together: each site's value is what it would be on its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from genjax import beta, categorical, flip, gamma, gen, modular_vmap, multivariate_normal, normal, seed
from genjax.pjax import draws, jax_internals, wrap_sampler
from genjax.pjax.staging import stage

own = wrap_sampler(lambda key, loc, sample_shape=(): loc + jax.random.normal(key, sample_shape), "own")


def many_sites(x):
    """Two or more sites of each kind: batched, with events, with rejection, discrete, the user's, one in a scan."""
    kinds = [
        lambda: normal.sample(x, 1.0),
        lambda: normal.sample(jnp.arange(3.0), x),
        lambda: gamma.sample(1.0 + x, 2.0),
        lambda: beta.sample(x, 2.0),
        lambda: categorical.sample(jnp.arange(4.0)),
        lambda: multivariate_normal.sample(jnp.array([x, 0.0]), jnp.eye(2)),
        lambda: flip.sample(0.3),
        lambda: own(x),
        lambda: jax.lax.scan(lambda c, _: (normal.sample(c, 1.0),) * 2, x, length=2),
    ]
    return [kind() for kind in kinds for _ in range(2)]


@pytest.mark.parametrize("transform", [lambda f: f, lambda f: modular_vmap(lambda x: f(x * 1.0), axis_size=3)])
def test_draws_made_together_are_the_draws_made_one_by_one(transform, monkeypatch):
    arguments = (jnp.full(3, 0.5),) if transform(many_sites) is not many_sites else (0.5,)
    together = seed(lambda *args: transform(many_sites)(*args))(jax.random.key(3), *arguments)
    monkeypatch.setattr(draws, "_draw_together", lambda *_: {})
    alone = seed(lambda *args: transform(many_sites)(*args))(jax.random.key(3), *arguments)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), together, alone)
    values = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(together[:4])])
    assert len(np.unique(values)) == len(values)  # no two normals share a key


@pytest.mark.parametrize("n_sites", [draws.FEWEST - 1, draws.FEWEST])
def test_normals_of_one_program_are_independent(n_sites):
    """Sample covariance of 20,000 runs: entries within 5.5 standard errors, 1e-5 of false alarm in all."""
    program = seed(lambda: jnp.stack([normal.sample(0.0, 1.0) for _ in range(n_sites)]))
    values = np.asarray(jax.vmap(program)(jax.random.split(jax.random.key(0), 20_000)), np.float64)
    deviation = np.abs(values.T @ values / len(values) - np.eye(n_sites))
    assert np.all(deviation < 5.5 * np.sqrt((1 + np.eye(n_sites)) / len(values)))


def count(jaxpr, *names):
    """Equations of these primitives, or calls of functions of these names, at any depth."""
    return sum(
        1
        if {eqn.primitive.name, eqn.params.get("name")} & set(names)
        else sum(count(body, *names) for body in jax_internals.sub_jaxprs(eqn))
        for eqn in jaxpr.eqns
    )


#: How random bits are made: by JAX, by its generator for two words, by the rounds written out.
BITS = ("random_bits", "threefry2x32", "_threefry")


def test_a_model_of_many_sites_splits_once_and_draws_once():
    @gen
    def walk():
        x = 0.0
        for i in range(30):
            x = normal(x, 1.0) @ f"x{i}"
        return x

    closed, _ = stage(seed(walk.simulate))(jax.random.key(0))
    assert count(closed.jaxpr, *BITS) == 1
    assert count(closed.jaxpr, "random_split") == 2


def test_large_draws_are_made_where_they_are_used():
    n_sites, size = draws.FEWEST, draws.MOST_BYTES // (4 * draws.FEWEST) + 1
    closed, _ = stage(seed(lambda: sum(jnp.sum(normal.sample(jnp.zeros(size), 1.0)) for _ in range(n_sites))))(
        jax.random.key(0)
    )
    assert count(closed.jaxpr, "random_split") == n_sites
    assert count(closed.jaxpr, *BITS) == 2 * n_sites  # large draws are written for the CPU, and for others


def test_gradients_of_draws_made_together():
    def total(x):
        return sum(jnp.sin(normal.sample(x * i, 1.0 + x)) for i in range(10))

    key = jax.random.key(1)
    check_grads(lambda x: seed(total)(key, x), (0.3,), order=1, rtol=2e-2)
    np.testing.assert_allclose(seed(jax.grad(total))(key, 0.3), jax.grad(seed(total), argnums=1)(key, 0.3), rtol=1e-5)


def test_a_sampler_with_a_side_effect_is_called_for_every_site():
    calls = []

    def noted(key, sample_shape=()):
        jax.debug.callback(lambda: calls.append(1))
        return jax.random.normal(key, sample_shape)

    noted_sampler = wrap_sampler(noted)
    seed(lambda: sum(noted_sampler() for _ in range(10)))(jax.random.key(0))
    jax.effects_barrier()
    assert len(calls) == 10
