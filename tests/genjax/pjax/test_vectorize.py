"""Vectorised sites: shapes, independence and laws, with the parameters' lane axes anywhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import bernoulli, categorical, flip, gen, modular_vmap, multivariate_normal, normal, seed
from genjax.pjax import wrap_sampler

KEY = jax.random.key(0)
N = 2000


def same_law(vectorised, per_lane, keys):
    """Two-sample check of every coordinate's mean, by five standard errors: false alarms below 1e-6 each."""
    first, second = (np.asarray(jax.vmap(seed(f))(k), float) for f, k in zip((vectorised, per_lane), keys, strict=True))
    assert first.shape == second.shape
    error = np.sqrt((first.var(0) + second.var(0)) / len(first))
    assert np.all(np.abs(first.mean(0) - second.mean(0)) <= 5 * error + 1e-6)


def test_parameters_of_another_rank():
    vectorised = modular_vmap(lambda m: normal.sample(m, jnp.ones(3)))
    assert seed(vectorised)(KEY, jnp.zeros(4)).shape == (4, 3)
    draws = seed(vectorised)(KEY, jnp.zeros(3))
    assert draws.shape == (3, 3) and np.unique(draws).size == 9
    means = jnp.array([0.0, 10.0])
    assert jnp.all(jnp.abs(seed(vectorised)(KEY, means) - means[:, None]) < 6)
    gradient = seed(jax.grad(lambda m: modular_vmap(lambda m: normal.sample(m, jnp.ones(3)))(m).sum()))(
        KEY, jnp.zeros(3)
    )
    np.testing.assert_allclose(gradient, [3, 3, 3])


def test_lane_axis_anywhere():
    locations = jnp.arange(6.0).reshape(2, 3) * 100
    columns = seed(modular_vmap(lambda m: normal.sample(m, 1.0), in_axes=1))(KEY, locations)
    assert columns.shape == (3, 2)
    assert jnp.all(jnp.abs(columns - locations.T) < 10)
    last = seed(modular_vmap(lambda m: normal.sample(m, 1.0), in_axes=-1))(KEY, locations)
    np.testing.assert_array_equal(last, columns)
    matrix = jnp.array([[100.0, 0.0], [0.0, 200.0], [300.0, 0.0]])
    products = seed(modular_vmap(lambda x: normal.sample(matrix @ x, 1.0)))(KEY, jnp.eye(2))
    assert products.shape == (2, 3)
    assert jnp.all(jnp.abs(products - matrix.T) < 10)
    outputs = modular_vmap(lambda m: normal.sample(m, 1.0), out_axes=1)(jnp.zeros((4, 2)))
    assert outputs.shape == (2, 4)


def test_inner_map_of_size_only():
    def lane(m):
        return modular_vmap(lambda: normal.sample(m, 1.0), in_axes=(), axis_size=2)()

    draws = seed(modular_vmap(lane))(KEY, jnp.array([0.0, 100.0, 200.0]))
    assert draws.shape == (3, 2)
    assert jnp.all(jnp.abs(draws - jnp.array([[0.0], [100.0], [200.0]])) < 10)


def test_repeat_of_a_latent_in_a_vmap():
    model = gen(lambda x: normal.repeat(2)(x, 1.0) @ "a")
    trace = seed(model.vmap(in_axes=(0,)).simulate)(KEY, jnp.array([0.0, 100.0, 200.0]))
    assert trace.get_choices()["a"].shape == (3, 2)
    assert jnp.all(jnp.abs(trace.get_choices()["a"] - jnp.array([[0.0], [100.0], [200.0]])) < 10)
    grid = normal.vmap(in_axes=(0, None)).vmap(in_axes=(None, 0))
    values = seed(grid.simulate)(KEY, jnp.array([0.0, 1000.0]), jnp.array([1.0, 2.0, 3.0])).get_choices()
    assert values.shape == (3, 2)
    assert jnp.all(jnp.abs(values - jnp.array([0.0, 1000.0])) < 30)


def test_sample_shape_under_vmap():
    logits = jnp.log(jnp.eye(4) + 1e-9)
    draws = seed(modular_vmap(lambda row: categorical.sample(row, sample_shape=(5,))))(KEY, logits)
    np.testing.assert_array_equal(draws, np.arange(4)[:, None] * np.ones((1, 5), int))
    assert normal.sample(jnp.zeros(3), 1.0, sample_shape=2).shape == (2, 3)
    assert normal.sample(jnp.zeros(3), 1.0, sample_shape=np.int64(2)).shape == (2, 3)


def test_keyword_parameters_keep_their_names():
    draws = seed(modular_vmap(lambda p: bernoulli.sample(probs=p)))(KEY, jnp.full(N, 0.05))
    assert abs(float(draws.mean()) - 0.05) < 5 * np.sqrt(0.05 * 0.95 / N)


def test_user_samplers_get_a_key_per_lane():
    sampler = wrap_sampler(lambda key, a, sample_shape=(): a + jax.random.normal(key, sample_shape), "shifted")
    draws = seed(modular_vmap(sampler))(KEY, jnp.zeros(3))
    assert len(set(draws.tolist())) == 3
    draws = seed(modular_vmap(modular_vmap(sampler), in_axes=(None,), axis_size=N))(KEY, jnp.array([0.0, 3.0]))
    assert np.unique(draws).size == 2 * N
    np.testing.assert_allclose(draws.mean(0), [0, 3], atol=5 / np.sqrt(N))
    assert sampler(0.0, sample_shape=(4,)).shape == (4,)


def test_keyword_arguments():
    draws = seed(modular_vmap(lambda m, scale: normal.sample(m, scale)))(KEY, jnp.zeros(3), scale=jnp.ones(3) * 1e-6)
    np.testing.assert_allclose(draws, 0, atol=1e-4)
    trace = seed(gen(lambda x, *, s: normal(x, s) @ "x").vmap(in_axes=(0,)).simulate)(KEY, jnp.zeros(3), s=1.0)
    assert trace.get_choices()["x"].shape == (3,)


MAPPED = {
    "normal": (lambda m, s: normal.sample(m, s), (jnp.zeros(3), jnp.array([1.0, 2.0, 3.0]))),
    "flip": (lambda p: flip.sample(p), (jnp.array([0.1, 0.5, 0.9]),)),
    "joint": (
        lambda m, s: multivariate_normal.sample(m, s * jnp.eye(2)),
        (jnp.zeros((3, 2)), jnp.array([1.0, 2.0, 3.0])),
    ),
    "scan": (
        lambda m: jax.lax.scan(lambda c, _: (normal.sample(c, 1.0), c), m, None, length=2)[0],
        (jnp.array([0.0, 5.0, 10.0]),),
    ),
}


@pytest.mark.parametrize("name", MAPPED)
def test_lanes_have_the_law_of_a_loop(name):
    function, args = MAPPED[name]
    keys = jax.random.split(KEY, (2, N))
    same_law(
        lambda: modular_vmap(function)(*args),
        lambda: jnp.stack([function(*(arg[i] for arg in args)) for i in range(3)]),
        keys,
    )


def test_batched_predicates_select_lanes():
    """Golden: cond under modular_vmap, true branch N(0, 1), false branch 7."""

    def lane(x):
        return jax.lax.cond(x > 0, lambda: normal.sample(0.0, 1.0), lambda: 7.0)

    draws = seed(modular_vmap(lane))(KEY, jnp.array([1.0, -1.0, 1.0]))
    np.testing.assert_allclose(draws, [-2.4424558, 7.0, 0.20554423], rtol=1e-5)


def test_batched_loop_condition():
    """Each lane stops at its own count; later draws of other lanes do not change it."""

    def lane(n):
        return jax.lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] + normal.sample(10.0, 1.0)), (0, 0.0))

    counts, sums = seed(modular_vmap(lane))(KEY, jnp.array([0, 1, 5]))
    np.testing.assert_array_equal(counts, [0, 1, 5])
    assert np.all(np.abs(sums - 10.0 * counts) <= 5 * np.sqrt(counts))


def test_pin_one_tuple_is_its_parameter():
    model = gen(lambda mu: normal(mu, 1.0) @ "x")
    trace = modular_vmap(model.simulate, in_axes=(0,))((jnp.array([0.0, 1.0, 2.0]),))
    assert trace.get_choices()["x"].shape == (3,)
    assert trace.get_retval().shape == (3,)
    assert trace.get_score().shape == () and jnp.isfinite(trace.get_score())


def test_errors_are_those_of_jax():
    with pytest.raises(ValueError, match="vmap must have at least one non-None value in in_axes"):
        modular_vmap(lambda x: x, in_axes=None)(jnp.zeros(3))
    with pytest.raises(ValueError, match="vmap in_axes must be"):
        modular_vmap(lambda x: x, in_axes=(0, 0))(jnp.zeros(3))
    with pytest.raises(ValueError, match="inconsistent sizes"):
        modular_vmap(lambda x, y: x)(jnp.zeros(3), jnp.zeros(4))


def test_collectives_and_statics():
    total = modular_vmap(lambda x: jax.lax.psum(x, "lanes"), axis_name="lanes")(jnp.arange(3.0))
    np.testing.assert_array_equal(total, [3, 3, 3])
    shared, nothing = modular_vmap(lambda x: (1.0, None))(jnp.arange(3.0))
    assert shared.shape == (3,) and nothing is None
    assert modular_vmap(lambda: normal.sample(0.0, 1.0), in_axes=(), axis_size=0)().shape == (0,)


def test_plain_vmap_and_unseeded_lanes_are_independent():
    draws = jax.vmap(lambda _: normal.sample(0.0, 1.0))(jnp.arange(5))
    again = jax.vmap(lambda _: normal.sample(0.0, 1.0))(jnp.arange(5))
    assert np.unique(np.concatenate([draws, again])).size == 10
