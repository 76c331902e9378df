"""Dual numbers, and estimators of the user's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Dual, Pytree, distribution, expectation, flip, gen, modular_vmap, normal, seed
from genjax.adev import ADEVPrimitive, CategoricalEnumParallel, flip_enum, flip_mvd, invoke_closed_over, reinforce

KEYS = jax.random.split(jax.random.key(0), 4096)


def assert_gradient(e, exact, *args):
    """Within 4.7 standard errors, a false-alarm rate of 2.6e-6."""
    gradients = np.asarray(jax.jit(jax.vmap(lambda key: seed(e.grad_estimate)(key, *args)))(KEYS), np.float64)
    error = gradients.std(ddof=1) / np.sqrt(len(gradients))
    assert abs(gradients.mean() - exact) < 4.7 * error + 1e-5, (gradients.mean(), exact, error)


class MeasureValuedFlip(ADEVPrimitive):
    def sample(self, p):
        return flip.sample(p)

    def sample_with_key(self, key, p, sample_shape=()):
        return jax.random.bernoulli(key, p, sample_shape)

    def prim_jvp_estimate(self, dual_args, konts):
        (p,), (kpure, kdual) = dual_args, konts
        b = self.sample(p.primal)
        drawn = kdual(Dual.tree_pure(b))
        difference = kpure(jnp.logical_not(b)) - drawn.primal
        return Dual(drawn.primal, drawn.tangent + jnp.where(b, -1.0, 1.0) * difference * p.tangent)


@Pytree.dataclass
class ExactFlip(ADEVPrimitive):
    """Enumeration with a static field, written with `kdual` alone."""

    value_if_true: float = Pytree.static(default=1.0)

    def sample(self, p):
        return jnp.where(flip.sample(p), self.value_if_true, 0.0)

    def sample_with_key(self, key, p, sample_shape=()):
        return jnp.where(jax.random.bernoulli(key, p, sample_shape), self.value_if_true, 0.0)

    def prim_jvp_estimate(self, dual_args, konts):
        (p,), (_, kdual) = dual_args, konts
        one, zero = kdual(Dual(self.value_if_true, 0.0)), kdual(Dual(0.0, 0.0))
        value = p.primal * one.primal + (1 - p.primal) * zero.primal
        tangent = p.primal * one.tangent + (1 - p.primal) * zero.tangent
        return Dual(value, tangent + (one.primal - zero.primal) * p.tangent)


class Delegating(ADEVPrimitive):
    """An estimator built on a built-in one."""

    def __init__(self, primitive):
        object.__setattr__(self, "primitive", primitive)

    def __hash__(self):
        return hash(type(self.primitive))

    def __eq__(self, other):
        return isinstance(other, Delegating) and self.primitive == other.primitive

    def sample(self, p):
        return self.primitive.sample(p)

    def sample_with_key(self, key, p, sample_shape=()):
        return self.primitive.sample_with_key(key, p, sample_shape=sample_shape)

    def prim_jvp_estimate(self, dual_args, konts):
        return self.primitive.prim_jvp_estimate(dual_args, konts)


PROGRAMS = {
    "product": (lambda draw, t: draw(t) * t * (1.0 + draw(t)), 2 * 0.4 + 3 * 0.16),
    "scan": (
        lambda draw, t: jax.lax.scan(lambda c, _: (c * (1.0 + draw(t)), None), t, length=3)[0],
        1.4**3 + 3 * 0.4 * 1.4**2,
    ),
    "lanes": (lambda draw, t: jnp.prod(1.0 + modular_vmap(draw)(jnp.stack([t, t / 2]))), 1.2 + 1.4 / 2),
    "shared": (
        lambda draw, t: jnp.sum(modular_vmap(lambda: draw(t) * 1.0, in_axes=(), axis_size=3)()),
        3.0,
    ),
}


@pytest.mark.parametrize(
    "primitive, places",
    [
        (MeasureValuedFlip(), ("product", "scan", "lanes", "shared")),
        (ExactFlip(), ("scan", "lanes")),
        (Delegating(flip_enum), ("product",)),
        (Delegating(flip_mvd), ("lanes",)),
    ],
    ids=["measure_valued", "exact", "on_flip_enum", "on_flip_mvd"],
)
def test_primitives_of_the_user(primitive, places):
    for place in places:
        program, exact = PROGRAMS[place]
        assert_gradient(expectation(lambda t, program=program: program(primitive, t)), exact, 0.4)


def test_primitives_of_the_user_in_a_cond_and_by_keyword():
    primitive = MeasureValuedFlip()
    f = lambda t: jax.lax.cond(flip_enum(t), lambda t: primitive(p=t) * 2.0, lambda t: t, t)
    assert_gradient(expectation(f), 4 * 0.4 + 1 - 2 * 0.4, 0.4)


def test_static_fields_distinguish_primitives():
    assert ExactFlip(2.0) == ExactFlip(2.0) != ExactFlip(3.0)
    assert float(expectation(lambda t: ExactFlip(2.0)(t) + ExactFlip(3.0)(t)).grad_estimate(0.4)) == pytest.approx(5.0)


def test_primitives_of_the_user_outside_of_expectations():
    primitive = MeasureValuedFlip()
    assert primitive(0.5).shape == ()
    draws = seed(modular_vmap(primitive))(jax.random.key(1), jnp.full(4096, 0.3))
    assert abs(float(draws.mean()) - 0.3) < 4.7 * 0.458 / 64

    @gen
    def model():
        return distribution(primitive, flip.logpdf)(0.3) @ "b"

    assert seed(model.simulate)(jax.random.key(0)).get_choices()["b"].dtype == jnp.bool_


def exponential_with_key(key, rate, sample_shape=()):
    return jax.random.exponential(key, (*sample_shape, *jnp.shape(rate))) / rate


exponential_reinforce = reinforce(
    lambda rate: normal.sample(0.0, rate), lambda v, rate: jnp.log(rate) - rate * v, exponential_with_key
)


def test_reinforce_with_a_sampler_of_the_user():
    # E[x] = 1 / rate.
    assert_gradient(expectation(lambda rate: exponential_reinforce(rate)), -1 / 4, 2.0)
    assert_gradient(expectation(lambda rate: exponential_reinforce(rate=rate)), -1 / 4, 2.0)
    lanes = lambda rate: jnp.prod(modular_vmap(exponential_reinforce)(jnp.stack([rate, 2 * rate])))
    assert_gradient(expectation(lanes), -1 / 8, 2.0)  # E = 1 / (2 rate^2)


def test_missing_methods_are_named():
    with pytest.raises(NotImplementedError, match="must implement sample_with_key"):
        ADEVPrimitive().sample_with_key(jax.random.key(0), 0.3)
    with pytest.raises(NotImplementedError, match="Bare must implement sample_with_key"):
        type("Bare", (ADEVPrimitive,), {})()(0.3)
    with pytest.raises(NotImplementedError, match="must implement sample_with_key"):
        reinforce(normal.sample, normal.logpdf)(0.0, 1.0)
    no_rule = type("NoRule", (ADEVPrimitive,), {"sample_with_key": lambda self, key, p, sample_shape=(): p})()
    with pytest.raises(NotImplementedError, match="NoRule must implement prim_jvp_estimate"):
        expectation(lambda p: no_rule(p)).grad_estimate(0.3)


def test_a_subclass_of_a_built_in_estimator_cannot_bring_its_own_rule():
    methods = {"prim_jvp_estimate": MeasureValuedFlip.prim_jvp_estimate}
    own = Pytree.dataclass(type("OwnRule", (type(flip_enum),), methods))()
    with pytest.raises(NotImplementedError, match="OwnRule is a built-in estimator .* Derive it from ADEVPrimitive"):
        expectation(lambda p: own(p) * 1.0).grad_estimate(0.3)


def test_pathwise_rule_for_a_discrete_choice_is_refused():
    from genjax.adev.rules import PATHWISE

    wrong = Pytree.dataclass(type("Wrong", (type(flip_enum),), {"rule": PATHWISE}))()
    with pytest.raises(TypeError, match="pathwise estimator, but its values are bool"):
        expectation(lambda p: wrong(p) * 1.0).grad_estimate(0.3)


def test_dual_numbers():
    tree = Dual.dual_tree({"a": 1.0, "b": (2.0,)}, {"a": 3.0, "b": (4.0,)})
    assert Dual.tree_primal(tree) == {"a": 1.0, "b": (2.0,)} and Dual.tree_tangent(tree) == {"a": 3.0, "b": (4.0,)}
    assert Dual.tree_unzip(tree) == ((1.0, 2.0), (3.0, 4.0))
    assert Dual.static_check_dual_tree(tree) and not Dual.static_check_dual_tree({"a": tree, "b": 1.0})
    assert Dual.static_check_is_dual(Dual(0.3, 1.0)) and not Dual.static_check_is_dual(tree)
    assert len(Dual.tree_leaves(tree)) == 2
    pure = Dual.tree_pure({"x": jnp.ones(2), "b": jnp.array(True), "kept": Dual(1.0, 5.0)})
    np.testing.assert_array_equal(pure["x"].tangent, np.zeros(2))
    assert pure["b"].tangent.dtype == jax.dtypes.float0 and pure["kept"].tangent == 5.0
    assert jax.tree.leaves(jax.tree.map(lambda x: 2 * x, Dual(0.3, 1.0))) == [0.6, 2.0]
    assert invoke_closed_over(lambda a, b: a - b, (3, 1)) == 2


def test_sampling_a_built_in_with_a_key():
    draws = CategoricalEnumParallel().sample_with_key(jax.random.key(0), jnp.zeros((4, 3)), sample_shape=(5,))
    assert draws.shape == (5, 4) and draws.dtype == jnp.int32
