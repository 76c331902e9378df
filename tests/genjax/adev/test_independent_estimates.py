"""Independent estimates in one run: each result has the scores of its own choices, and no others."""

import jax
import jax.numpy as jnp

from genjax import expectation, modular_vmap, seed
from genjax.adev import flip_enum, flip_reinforce, normal_reparam, reinforce
from genjax.adev.expectation import independent_estimates

KEY = jax.random.key(0)


def test_independent_estimates_are_expectations_of_their_own():
    own = reinforce(
        lambda p: None,
        lambda v, p: jnp.where(v, jnp.log(p), jnp.log1p(-p)),
        lambda key, p, sample_shape=(): jax.random.bernoulli(key, p, sample_shape),
    )

    def in_a_scan(p):
        steps = jax.lax.scan(lambda c, _: (c + flip_reinforce(p), None), 0.0, None, length=2)[0]
        return steps + modular_vmap(flip_reinforce)(jnp.array([0.4, 0.6])).sum() - 1.0

    programs = {
        "direct": (lambda p: 1.0 * flip_reinforce(p), 1.0),
        "of the user": (lambda p: 1.0 * own(p), 1.0),
        "in a scan, beside others": (in_a_scan, 2.0),
        "in a cond": (lambda p: jax.lax.cond(flip_reinforce(p), lambda: 1.0 * flip_reinforce(p), lambda: 0.0), 0.6),
        "with enumeration": (lambda p: 1.0 * flip_enum(p) + flip_reinforce(p), 2.0),
        "pathwise": (lambda p: normal_reparam(p, 1.0), 1.0),
    }
    n = 4096
    weights = jnp.zeros(n).at[0].set(1.0)
    for name, (program, slope) in programs.items():
        run = lambda p, weights, f=program: weights @ independent_estimates(lambda: f(p), n)
        gradient = jax.jit(seed(lambda weights, run=run: expectation(lambda p: run(p, weights)).grad_estimate(0.3)))
        # 4.7 standard errors; a lane's gradient has a standard deviation of at most 6.
        assert abs(float(gradient(KEY, jnp.full(n, 1.0 / n))) - slope) < 4.7 * 6 / 64, name
        # One lane's own gradient: the scores of 4095 others would put it hundreds away.
        assert abs(float(gradient(KEY, weights))) < 20, name
