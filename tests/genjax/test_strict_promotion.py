"""GenJAX inside programs that forbid implicit promotion: no method mixes dtypes or ranks by itself."""

import jax
import jax.numpy as jnp
import pytest

from genjax import Cond, Scan, flip, gen, hmc, mh, modular_vmap, normal, seed, sel

pytestmark = pytest.mark.usefixtures("strict_promotion")
KEY = jax.random.key(0)
ZERO, ONE = jnp.float32(0.0), jnp.float32(1.0)


@gen
def line(xs):
    slope = normal(ZERO, ONE) @ "slope"
    return normal.vmap(in_axes=(0, None))(slope * xs, ONE) @ "ys"


@gen
def either(mean):
    is_wide = flip(jnp.float32(0.1)) @ "is_wide"
    wide, narrow = gen(lambda m: normal(m, 3.0) @ "y"), gen(lambda m: normal(m, 1.0) @ "y")
    return Cond(wide, narrow)(is_wide, mean) @ "value"


@gen
def walk(position, velocity):
    position = normal(position + velocity, ONE) @ "position"
    return position, position


XS, YS = jnp.arange(3, dtype=jnp.float32), jnp.ones(3, jnp.float32)


def test_the_fixture_is_strict():
    with pytest.raises(ValueError, match="rank_promotion"):
        _ = jnp.ones((2, 2)) + jnp.ones(2)
    with pytest.raises(jax.errors.TypePromotionError if hasattr(jax.errors, "TypePromotionError") else Exception):
        _ = jnp.ones(2, jnp.int32) + jnp.ones(2, jnp.float32)


def test_every_method_of_a_model():
    trace, weight = seed(line.generate)(KEY, {"ys": YS}, XS)
    assert weight.dtype == jnp.float32
    assert seed(line.simulate)(KEY, XS).get_score().dtype == jnp.float32
    assert line.assess(trace.get_choices(), XS)[0].dtype == jnp.float32
    assert line.update(trace, {"slope": ONE}, XS)[1].dtype == jnp.float32
    assert seed(line.regenerate)(KEY, trace, sel("slope"), XS)[1].dtype == jnp.float32


def test_combinators():
    trace, _ = seed(either.generate)(KEY, {"value": {"y": ONE}}, ZERO)
    assert trace.get_score().dtype == jnp.float32
    steps = seed(Scan(walk, 3).simulate)(KEY, ZERO, YS)
    assert steps.get_score().dtype == jnp.float32


def test_particles_and_kernels():
    particles = seed(modular_vmap(lambda: line.generate({"ys": YS}, XS)[1], in_axes=(), axis_size=5))(KEY)
    assert particles.shape == (5,)
    trace, _ = seed(line.generate)(KEY, {"ys": YS}, XS)
    for kernel in (lambda t: mh(t, sel("slope")), lambda t: hmc(t, sel("slope"), 0.1, 2)):
        assert seed(kernel)(KEY, trace).get_score().dtype == jnp.float32
