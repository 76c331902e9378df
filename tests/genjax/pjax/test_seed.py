"""`seed` and `vmap` over every higher-order primitive of JAX.

Every program below adds two independent standard normals to its argument, so its value is N(x, 2) whatever the control
flow. A shared or reused draw would give another variance. Moment checks use 4,000 draws and five standard errors: false
alarm rate below 1e-5 for each of some sixty; keys are fixed.
"""

import functools
import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Const, bernoulli, const, distribution, gen, modular_vmap, normal, seed
from genjax.pjax import wrap_sampler

KEY = jax.random.key(20261122)


def draw(x):
    return normal.sample(x, 1.0)


def site(x):
    return draw(x) + draw(0.0)


def cond(x):
    return jax.lax.cond(x > -100, draw, lambda x: x, x) + jax.lax.cond(x < -100, lambda: 7.0, lambda: draw(0.0))


def switch(x):
    return jax.lax.switch(jnp.int32(1), [lambda x: x, site, lambda x: 2 * x], x)


def scan(x):
    return jax.lax.scan(lambda carry, _: (draw(carry), None), x, None, length=2)[0]


def scan_of_constants(x):
    return x + jax.lax.scan(lambda carry, _: (carry, draw(0.0)), 0.0, None, length=2)[1].sum()


def scan_reverse(x):
    return jax.lax.scan(lambda c, t: (c + draw(t), None), x, jnp.zeros(2), reverse=True, unroll=2)[0]


def while_loop(x):
    return jax.lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, draw(s[1])), (0, x))[1]


def while_condition(x):
    # The condition draws too, inside a jit, from a stream of its own; the sum of body draws alone is the result.
    def condition(state):
        return (jax.jit(lambda: draw(0.0))() < 100) & (state[0] < 2)

    return jax.lax.while_loop(condition, lambda s: (s[0] + 1, draw(s[1])), (0, x))[1]


def fori_static(x):
    return jax.lax.fori_loop(0, 2, lambda i, c: draw(c), x)


def fori_dynamic(x):
    return jax.lax.fori_loop(0, jnp.asarray(2), lambda i, c: draw(c), x)


def map_(x):
    return x + jax.lax.map(lambda i: draw(0.0), jnp.arange(2)).sum()


def jit(x):
    return jax.jit(lambda x: jax.jit(draw)(x) + draw(0.0))(x)


def remat(x):
    return jax.checkpoint(site, policy=jax.checkpoint_policies.nothing_saveable)(x)


@jax.custom_jvp
def custom_jvp(x):
    return site(x)


custom_jvp.defjvp(lambda primals, tangents: (custom_jvp(*primals), 3.0 * tangents[0]))


@jax.custom_vjp
def custom_vjp(x):
    return site(x)


custom_vjp.defvjp(lambda x: (custom_vjp(x), None), lambda _, g: (3.0 * g,))


def vmap(x):
    return x + jax.vmap(lambda _: draw(0.0))(jnp.arange(2)).sum()


def everything(x):
    """One draw under jit, remat, scan, cond, while; one beside."""

    @jax.jit
    @jax.checkpoint
    def inner(x):
        def step(carry, _):
            loop = functools.partial(jax.lax.while_loop, lambda s: s[0] < 1, lambda s: (s[0] + 1, draw(s[1])))
            return jax.lax.cond(carry > -100, lambda c: loop((0, c))[1], lambda c: c, carry), None

        return jax.lax.scan(step, x, None, length=1)[0]

    return inner(x) + draw(0.0)


PROGRAMS = [
    site,
    cond,
    switch,
    scan,
    scan_of_constants,
    scan_reverse,
    while_loop,
    while_condition,
    fori_static,
    fori_dynamic,
    map_,
    jit,
    remat,
    custom_jvp,
    custom_vjp,
    vmap,
    everything,
]
N = 4000


def assert_moments(draws, mean, variance):
    draws = np.asarray(draws, float)
    n = draws.size
    assert abs(draws.mean() - mean) < 5 * np.sqrt(variance / n)
    assert abs(draws.var() - variance) < 5 * variance * np.sqrt(2 / n)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: getattr(p, "__name__", "custom"))
def test_every_control_flow(program):
    seeded = seed(program)
    value = seeded(KEY, 0.5)
    assert value == seeded(KEY, 0.5)
    assert value != seeded(jax.random.key(1), 0.5)
    # One run per key ...
    keys = jax.random.split(KEY, N)
    draws = jax.vmap(seeded, in_axes=(0, None))(keys, 0.5)
    assert_moments(draws, 0.5, 2.0)
    np.testing.assert_allclose(draws[7], seeded(keys[7], 0.5), rtol=1e-5)
    # ... and lanes of one run; the first draw's parameter is mapped, the second's is not.
    lanes = seed(modular_vmap(program))(KEY, jnp.full(N, 0.5))
    assert np.unique(lanes).size > 0.99 * N
    assert_moments(lanes, 0.5, 2.0)


@pytest.mark.parametrize("program", [site, scan, everything], ids=lambda p: p.__name__)
def test_lanes_without_a_mapped_argument(program):
    lanes = seed(modular_vmap(lambda: program(0.5), in_axes=(), axis_size=N))(KEY)
    assert np.unique(lanes).size > 0.99 * N
    assert_moments(lanes, 0.5, 2.0)


DIFFERENTIABLE = [
    p for p in PROGRAMS if p.__name__ not in ("while_loop", "while_condition", "fori_dynamic", "everything")
]


@pytest.mark.parametrize("program", DIFFERENTIABLE, ids=lambda p: p.__name__)
def test_gradient_outside_and_inside_of_seed(program):
    """The pathwise gradient, and the value that it belongs to."""

    def square(x):
        return program(x) ** 2

    scale = 3.0 if program.__name__.startswith("custom") else 1.0
    for value, gradient in (
        jax.value_and_grad(lambda x: seed(square)(KEY, x))(0.5),
        seed(jax.value_and_grad(square))(KEY, 0.5),
    ):
        np.testing.assert_allclose(gradient**2, 4 * scale**2 * value, rtol=1e-4)
    if scale == 1.0 and program is not remat:  # differentiating takes a checkpoint apart, and so moves the keys
        value, _ = seed(jax.value_and_grad(square))(KEY, 0.5)
        np.testing.assert_allclose(value, seed(square)(KEY, 0.5), rtol=1e-5)


def test_draws_stay_in_a_differentiated_loop():
    """JAX computes once, before the loop, what the carry does not enter; draws must not go with it."""

    def program(x):
        return jax.lax.scan(lambda c, _: (c + x * jax.jit(lambda: draw(0.0))(), None), 0.0 * x, None, length=2)[0]

    gradients = jax.vmap(seed(jax.grad(program)), in_axes=(0, None))(jax.random.split(KEY, N), 1.0)
    assert_moments(gradients, 0.0, 2.0)


def test_scan_in_checkpoint_differentiated_without_key_is_refused():
    program = jax.checkpoint(lambda x: scan(x) ** 2)
    with pytest.raises(NotImplementedError, match=r"Differentiate outside of seed: `jax.grad"):
        seed(jax.grad(program))(KEY, 0.5)
    value, gradient = jax.value_and_grad(lambda x: seed(program)(KEY, x))(0.5)
    np.testing.assert_allclose(gradient**2, 4 * value, rtol=1e-5)


def test_sites_in_custom_derivative_rules():
    @jax.custom_jvp
    def forward(x):
        return x * draw(0.0)

    forward.defjvp(lambda primals, tangents: (forward(*primals), tangents[0] * draw(100.0)))

    @jax.custom_vjp
    def backward(x):
        return x * draw(0.0)

    backward.defvjp(lambda x: (backward(x), None), lambda _, g: (g * draw(100.0),))
    for function in (forward, backward):
        outside = jax.vmap(jax.grad(lambda x, k, f=function: seed(f)(k, x)), in_axes=(None, 0))
        inside = jax.vmap(lambda k, f=function: seed(jax.grad(f))(k, 2.0))
        keys = jax.random.split(KEY, N)
        assert_moments(outside(2.0, keys), 100.0, 1.0)
        assert_moments(inside(keys), 100.0, 1.0)


def test_condition_and_body_of_a_loop_draw_apart():
    """The condition's draw at a step is no draw of the body, at this step or another, also behind a jit."""

    def program():
        def drawn(record, i):
            value = jax.jit(lambda: draw(0.0))()
            return record.at[i].set(value)

        def condition(state):
            i, _, shown = state
            return (i < 3) & (jax.jit(lambda: draw(0.0))() < 100)

        return jax.lax.while_loop(condition, lambda s: (s[0] + 1, drawn(s[1], s[0]), s[2]), (0, jnp.zeros(3), 0.0))

    # The key that the condition gets at each step, against those from which the body draws.
    from genjax.pjax.seed import _apart

    key, conditions, bodies = KEY, [], []
    for _ in range(4):
        following, sub = jax.random.split(key)
        conditions += [_apart(key)]
        bodies += [sub, *jax.random.split(sub), following]
        key = following
    words = {tuple(jax.random.key_data(k).tolist()) for k in conditions}
    children = {tuple(jax.random.key_data(c).tolist()) for k in conditions for c in jax.random.split(k)}
    taken = {tuple(jax.random.key_data(k).tolist()) for k in bodies}
    assert not (words | children) & taken
    assert len(set(np.asarray(seed(program)(KEY)[1]).tolist())) == 3


def test_equations_without_sites_consume_no_randomness():
    def with_loops(x):
        x = jax.lax.scan(lambda c, _: (c + 0.0, None), x, None, length=3)[0]
        x = jax.lax.cond(x > 0, lambda x: x, lambda x: x, x)
        x = jax.jit(jax.checkpoint(lambda x: x))(x)
        return site(jax.lax.fori_loop(0, jnp.asarray(3), lambda i, c: c, x))

    assert seed(with_loops)(KEY, 0.5) == seed(site)(KEY, 0.5)


def test_scan_keeps_its_settings():
    jaxpr = jax.make_jaxpr(seed(scan_reverse))(KEY, 0.5)
    (equation,) = [e for e in jaxpr.eqns[0].params["jaxpr"].eqns if e.primitive.name == "scan"]
    assert equation.params["reverse"] is True
    assert equation.params["unroll"] == 2
    assert equation.params["length"] == 2


def test_second_call_neither_traces_nor_compiles(counted):
    program = counted(lambda x: scan(x) + cond(x))
    for _ in range(3):
        seed(program)(KEY, 0.5)  # also where `seed` is called again
    assert program.calls == 1
    seed(program)(KEY, jnp.zeros(()))  # another weak type
    seed(program)(KEY, jnp.zeros(()))
    assert program.calls == 2


def test_bound_methods_written_anew_are_traced_once():
    n_traced = 0

    @gen
    def model(x):
        nonlocal n_traced
        n_traced += 1
        return normal(x, 1.0) @ "x"

    scores = [seed(model.simulate)(KEY, 0.0).get_score() for _ in range(3)]
    assert n_traced == 1
    assert len(set(map(float, scores))) == 1
    traced_before = n_traced
    trace = seed(model.simulate)(KEY, 0.0)
    for _ in range(2):
        seed(model.generate)(KEY, {"x": 1.0}, 0.0)
        seed(trace.update)(KEY, {"x": 1.0})
    assert n_traced - traced_before == 2


def test_equal_callables_share_and_survive_each_other():
    def function(x):
        return normal(x, 1.0) @ "a"

    first = gen(function)
    seed(first)
    second = gen(function)
    seeded = seed(second)
    del first
    gc.collect()
    assert seeded(KEY, 0.0) == seed(lambda: draw(0.0))(KEY)


def test_functions_are_not_kept_alive():
    import weakref

    def make():
        def function(x):
            return draw(x)

        seed(function)(KEY, 0.0)
        return weakref.ref(function)

    reference = make()
    jax.clear_caches()
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_keys_of_every_kind(impl):
    key, legacy = jax.random.key(3, impl=impl), jax.random.PRNGKey(3)
    assert jnp.isfinite(seed(everything)(key, 0.5))
    value, gradient = seed(jax.value_and_grad(lambda x: scan(x) ** 2))(key, 0.5)
    np.testing.assert_allclose(gradient**2, 4 * value, rtol=1e-4)
    if impl == "threefry2x32":
        assert seed(everything)(key, 0.5) == seed(everything)(legacy, 0.5)
        keys = jax.random.split(legacy, 3)
        assert keys.dtype == jnp.uint32
        lanes = jax.vmap(seed(site), in_axes=(0, None))(keys, 0.5)
        assert lanes[1] == seed(site)(keys[1], 0.5)


def test_what_is_no_key_is_refused():
    with pytest.raises(TypeError, match=r"takes a key as first argument, got float"):
        seed(draw)(0.5)
    with pytest.raises(ValueError, match=r"one key, got an array of keys of shape \(3,\).*jax.vmap\(seed\(f\)\)"):
        seed(draw)(jax.random.split(KEY, 3), 0.5)
    with pytest.raises(ValueError, match="one key"):
        seed(draw)(jax.random.split(jax.random.PRNGKey(0), 3), 0.5)


def test_nested_seeds():
    inner_key = jax.random.key(5)

    def program(x):
        return seed(site)(inner_key, x) + draw(0.0)

    value = seed(program)(KEY, 0.5)
    np.testing.assert_allclose(value, seed(site)(inner_key, 0.5) + seed(draw)(KEY, 0.0), rtol=1e-6)
    # A seeded function has no sites left: another seed changes nothing.
    assert seed(seed(site))(jax.random.key(9), KEY, 0.5) == seed(site)(KEY, 0.5)
    lanes = modular_vmap(seed(site), in_axes=(0, None))(jax.random.split(KEY, 3), 0.5)
    assert len(set(lanes.tolist())) == 3


def test_seeded_code_under_every_transform():
    """jit, vmap, scan, while, remat, custom_jvp and custom_vjp around seeded code change nothing."""
    seeded = seed(everything)
    expected = seeded(KEY, 0.5)

    @jax.custom_jvp
    def with_jvp(x):
        return seeded(KEY, x)

    with_jvp.defjvp(lambda primals, tangents: (with_jvp(*primals), tangents[0]))

    @jax.custom_vjp
    def with_vjp(x):
        return seeded(KEY, x)

    with_vjp.defvjp(lambda x: (with_vjp(x), None), lambda _, g: (g,))
    for value in (
        jax.jit(seeded)(KEY, 0.5),
        jax.vmap(seeded, in_axes=(None, 0))(KEY, jnp.full(2, 0.5))[1],
        jax.lax.scan(lambda c, x: (c, seeded(KEY, x)), 0, jnp.full(2, 0.5))[1][1],
        jax.lax.while_loop(lambda s: s[0] < 1, lambda s: (s[0] + 1, seeded(KEY, 0.5)), (0, 0.0))[1],
        jax.checkpoint(seeded)(KEY, 0.5),
        with_jvp(0.5),
        with_vjp(0.5),
        jax.jit(seeded).lower(KEY, 0.5).compile()(KEY, 0.5),
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-6)
    with jax.disable_jit():  # JAX unrolls loops here, and so moves the keys
        assert jnp.isfinite(seeded(KEY, 0.5)) and seed(site)(KEY, 0.5) == pytest.approx(
            float(jax.jit(seed(site))(KEY, 0.5))
        )


def test_arguments_and_results():
    def program(x, /, n, *, scale=1.0, label=None):
        assert isinstance(n.value, int)
        return {"draws": normal.sample(x, scale, sample_shape=(n.value,)), "n": n, "label": label}

    result = seed(program)(KEY, 0.0, const(3), scale=2.0, label=Const("a"))
    assert result["draws"].shape == (3,) and result["n"].value == 3 and result["label"].value == "a"
    with pytest.raises(TypeError, match=r"seed\(program\) got 'abc' \(str\) in kwargs\['label'\].*`const\(value\)`"):
        seed(program)(KEY, 0.0, const(3), label="abc")


@pytest.mark.parametrize("sample_shape", [(5,), 5, [5], np.int32(5), (np.int64(5),), const((5,))])
def test_sample_shape_stays_static(sample_shape):
    keyful = wrap_sampler(lambda key, loc, sample_shape=(): loc + jax.random.normal(key, sample_shape))
    for sampler in (normal.sample, keyful, distribution(keyful, normal.logpdf).sample):
        args = (0.0, 1.0) if sampler == normal.sample else (0.0,)
        assert seed(sampler)(KEY, *args, sample_shape=sample_shape).shape == (5,)


def test_a_traced_sample_shape_is_explained():
    with pytest.raises(TypeError, match=r"sample_shape must be static.*`const\(\(5,\)\)`"):
        seed(lambda shape: normal.sample(0.0, 1.0, sample_shape=shape))(KEY, (5,))
    with pytest.raises(TypeError, match="sample_shape must be static"):
        seed(lambda n: normal.sample(0.0, 1.0, sample_shape=n))(KEY, 5)


def test_statics_of_different_type_are_different_programs():
    """1 == 1.0 == True, but a program for one is wrong for the others."""
    program = seed(lambda n: jnp.asarray(n.value))
    assert [program(KEY, const(value)).dtype.kind for value in (1, 1.0, True)] == ["i", "f", "b"]


def test_signature_and_name():
    import inspect

    def program(x, n):
        """Draw."""
        return n * draw(x)

    seeded = seed(program)
    assert (seeded.__name__, seeded.__doc__) == ("program", "Draw.")
    assert list(inspect.signature(seeded).parameters) == ["key", "x", "n"]
    # JAX finds static arguments by the signature.
    assert jnp.isfinite(jax.jit(seeded, static_argnames="n")(KEY, 0.5, 3))


def test_discrete_sites_have_no_gradient():
    value, gradient = seed(jax.value_and_grad(lambda p: p * bernoulli.sample(probs=p)))(KEY, 0.4)
    assert gradient == (value > 0)
