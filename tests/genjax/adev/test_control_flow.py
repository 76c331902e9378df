"""Choices inside scan, switch, while, checkpoint and custom derivatives; nested expectations; limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import expectation, normal, seed
from genjax.adev import flip_enum, flip_mvd, flip_reinforce, normal_reinforce, normal_reparam

N_KEYS = 4096


def mean_gradient(e, *args, n_keys=N_KEYS):
    """Mean and standard error over keys; compared at 4.7 standard errors, a false-alarm rate of 2.6e-6."""
    keys = jax.random.split(jax.random.key(5), n_keys)
    gradients = np.asarray(jax.jit(jax.vmap(lambda key: seed(e.grad_estimate)(key, *args)))(keys), np.float64)
    return gradients.mean(0), gradients.std(0, ddof=1) / np.sqrt(n_keys)


def assert_gradient(e, exact, *args):
    mean, error = mean_gradient(e, *args)
    assert abs(mean - exact) < 4.7 * error + 1e-5 * (1 + abs(exact)), (mean, exact, error)


@pytest.mark.parametrize(
    "estimator, is_reverse", [(flip_enum, False), (flip_enum, True), (flip_mvd, True), (flip_reinforce, True)]
)
def test_scan_keeps_its_order(estimator, is_reverse):
    # x_t ~ flip(p) while the carry doubles: the result is a number in base 2, and the outputs are weighted by position.
    def f(p):
        def step(carry, weight):
            x = estimator(p) * 1.0
            return 2 * carry + x, weight * x

        carry, ys = jax.lax.scan(step, 0.0, jnp.array([1.0, 10.0, 100.0]), reverse=is_reverse)
        return carry + ys @ jnp.array([1.0, 2.0, 3.0])

    assert_gradient(expectation(f), 7 + 1 + 20 + 300, 0.3)


def test_markov_chain_in_a_scan():
    # The parameter of each flip depends on the one before: p_1 = t, then P(1 | 1) = t, P(1 | 0) = t / 2.
    def f(t, estimator):
        def step(b, _):
            b = estimator(jnp.where(b, t, t / 2))
            return b, b

        _, bs = jax.lax.scan(step, True, length=3)
        return jnp.sum(bs.astype(float))

    def exact(t):
        p, total = 1.0, 0.0
        for _ in range(3):
            p = p * t + (1 - p) * t / 2
            total += p
        return total

    want = jax.grad(exact)(0.6)
    np.testing.assert_allclose(expectation(lambda t: f(t, flip_enum)).grad_estimate(0.6), want, rtol=1e-5)
    assert_gradient(expectation(lambda t: f(t, flip_mvd)), want, 0.6)
    assert_gradient(expectation(lambda t: f(t, flip_reinforce)), want, 0.6)


def test_scans_of_length_zero_and_one():
    def f(p, n):
        carry, ys = jax.lax.scan(lambda c, x: (c + flip_enum(p) * x, flip_mvd(p)), p, jnp.ones(n))
        return carry + ys.sum()

    assert float(expectation(lambda p: f(p, 0)).grad_estimate(0.3)) == 1.0
    assert float(expectation(lambda p: f(p, 1)).grad_estimate(0.3)) == pytest.approx(3.0)


def test_long_scans_of_direct_choices_are_not_unrolled():
    def f(t):
        return jax.lax.scan(lambda x, _: (0.9 * x + normal_reparam(t, 1.0), None), 0.0, length=5000)[0]

    np.testing.assert_allclose(expectation(f).grad_estimate(0.3), 10.0, rtol=1e-4)


def test_long_scans_that_would_be_unrolled_are_refused():
    def f(p):
        return jax.lax.scan(lambda x, _: (x + flip_mvd(p), None), 0.0, length=65)[0]

    with pytest.raises(NotImplementedError, match="scan of 65 steps.*reinforce"):
        expectation(f).grad_estimate(0.3)
    assert 0 <= float(expectation(f).estimate(0.3)) <= 65


def test_enumerations_that_explode_are_refused():
    def f(p):
        return jax.lax.scan(lambda x, _: (x + flip_enum(p), None), 0.0, length=20)[0]

    with pytest.raises(ValueError, match="more than 65536 runs"):
        expectation(f).estimate(0.3)


def test_enumeration_of_several_choices_is_exact():
    def f(p):
        return jnp.prod(jnp.stack([1.0 + flip_enum(p) for _ in range(8)]))

    np.testing.assert_allclose(expectation(f).value_and_grad_estimate(0.3), [1.3**8, 8 * 1.3**7], rtol=1e-5)


def test_switch_of_three_branches():
    def f(t, index):
        branches = [
            lambda t: 1.0 * flip_enum(t),
            lambda t: normal_reparam(t, 1.0) * 2,
            lambda t: t**3,
        ]
        return jax.lax.switch(index, branches, t) * 2

    for index, exact in enumerate([2.0, 4.0, 6 * 0.3**2]):
        e = expectation(lambda t, index=index: f(t, index + jnp.int32(0)))
        np.testing.assert_allclose(seed(e.grad_estimate)(jax.random.key(0), 0.3), exact, rtol=1e-5)


def test_cond_on_a_drawn_value_with_choices_after_it():
    # x ~ N(t, 1); where x > 0 another choice; then one after the cond that depends on it.
    def f(t):
        x = normal_reinforce(t, 1.0)
        y = jax.lax.cond(x > 0, lambda t: flip_reinforce(t) * 1.0, lambda t: t, t)
        return y * normal_reparam(t, 1.0)

    def exact(t):
        positive = jax.scipy.stats.norm.cdf(t)
        return (positive * t + (1 - positive) * t) * t

    assert_gradient(expectation(f), jax.grad(exact)(0.4), 0.4)


def test_checkpoint_and_custom_derivatives_of_jax():
    def f(t):
        x = jax.checkpoint(lambda t: normal_reparam(t, 1.0) * jnp.sin(t))(t)
        y = jax.checkpoint(lambda t: flip_enum(t) * t)(t)
        return x + jax.nn.relu(y) + jax.nn.logsumexp(jnp.stack([t, t]))

    def exact(t):
        return t * jnp.sin(t) + t * t + t

    assert_gradient(expectation(f), jax.grad(exact)(0.4), 0.4)


def test_custom_vjp_of_the_user():
    @jax.custom_vjp
    def double(x):
        return 2 * x

    double.defvjp(lambda x: (2 * x, None), lambda _, g: (2 * g,))
    assert float(expectation(lambda t: double(flip_enum(t) * t)).grad_estimate(0.3)) == pytest.approx(1.2)


def test_while_loops_are_estimated_but_not_differentiated():
    def f(t):
        total = jax.lax.while_loop(lambda s: s < 3.0, lambda s: s + 1.0 + flip_reinforce(t), 0.0)
        return total

    value = seed(lambda t: jax.vmap(lambda _: expectation(f).estimate(t))(jnp.arange(N_KEYS)))(jax.random.key(0), 0.5)
    # Steps of 1 or 2 until 3 or 4: P(4) = P(reach 2 without 3) / 2 = (1/4 + 1/2) / 2.
    assert abs(float(value.mean()) - 3.375) < 4.7 * float(value.std()) / np.sqrt(N_KEYS)
    with pytest.raises(NotImplementedError, match="while_loop.*lax.scan"):
        expectation(f).grad_estimate(0.5)
    with pytest.raises(NotImplementedError, match="while_loop"):
        expectation(lambda t: jax.lax.while_loop(lambda s: s < 3, lambda s: s + 1 + flip_enum(t), 0)).estimate(0.5)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, lambda f: lambda t: jax.lax.map(f, t[None])[0]])
def test_plain_choices_are_refused(wrap):
    e = expectation(wrap(lambda t: normal.sample(t, 1.0)))
    with pytest.raises(
        NotImplementedError, match="^ADEV encountered pjax.sample site without ADEV semantics. Use ADEV"
    ):
        e.grad_estimate(jnp.float32(0.3))
    with pytest.raises(NotImplementedError, match="ADEV encountered pjax.sample site .*Normal.*test_control_flow.py"):
        e.estimate(jnp.float32(0.3))


def test_a_choice_differentiated_within_the_expectation_is_refused():
    with pytest.raises(NotImplementedError, match="take derivatives of the expectation instead"):
        expectation(lambda t: jax.grad(lambda u: normal_reinforce(u, 1.0) ** 2)(t)).estimate(0.3)


def test_expectations_nest():
    # The inner estimate is unbiased and enters linearly, so the outer gradient is.
    inner = expectation(lambda t, x: flip_mvd(t) * x)
    e = expectation(lambda t: inner.estimate(t, normal_reparam(t, 1.0)))
    assert_gradient(e, 0.8, 0.4)


def test_derivatives_with_respect_to_closed_over_values():
    assert float(jax.grad(lambda t: expectation(lambda x: normal_reparam(x * t, 1.0)).estimate(2.0))(0.5)) == 2.0
    gradient = jax.grad(lambda t: expectation(lambda x: flip_enum(t) * x).estimate(2.0))(0.5)
    assert float(gradient) == pytest.approx(2.0)
