"""Seconds of ELBO gradients with many vmapped draws, and of estimators written by hand; both are checked."""

import json
import math
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from genjax import elbo_factory, gen, normal, normal_reinforce, normal_reparam, seed

LANES = 1_000
ROUNDS = 15
CALLS = 20
STANDARD_ERRORS = 6.0
Y, NOISE = 1.0, 0.5
START = np.array([0.1, -0.3])


@gen
def model():
    x = normal(0.0, 1.0) @ "x"
    return normal(x, NOISE) @ "y"


def genjax_gradient(estimator):
    """`(key, params) -> gradient` by the language; params are a mean and a log standard deviation."""

    @gen
    def family(constraint, params):
        return estimator(params[0], jnp.exp(params[1])) @ "x"

    return seed(elbo_factory(model, family, {"y": Y}, n_samples=LANES).grad_estimate)


def log_weights(x, params):
    log_normal = jax.scipy.stats.norm.logpdf
    return log_normal(x) + log_normal(Y, x, NOISE) - log_normal(x, params[0], jnp.exp(params[1]))


def pathwise_gradient(key, params):
    def elbo(params):
        x = params[0] + jnp.exp(params[1]) * jax.random.normal(key, (LANES,))
        return jnp.mean(log_weights(x, params))

    return jax.grad(elbo)(params)


def score_function_gradient(key, params):
    def surrogate(params):
        x = jax.lax.stop_gradient(params[0] + jnp.exp(params[1]) * jax.random.normal(key, (LANES,)))
        weights = log_weights(x, params)
        scores = jax.scipy.stats.norm.logpdf(x, params[0], jnp.exp(params[1]))
        return jnp.mean(weights + jax.lax.stop_gradient(weights) * scores)

    return jax.grad(surrogate)(params)


PROGRAMS = {
    "reparam": (normal_reparam, pathwise_gradient),
    "reinforce": (normal_reinforce, score_function_gradient),
}


def check(name, gradients):
    """Expects the mean of (n, 2) gradients at the derivative of the exact ELBO, within standard errors."""
    mean, variance = START[0], math.exp(2 * START[1])
    exact = np.array([-mean + (Y - mean) / NOISE**2, 1.0 - variance * (1.0 + 1.0 / NOISE**2)])
    errors = gradients.std(axis=0, ddof=1) / math.sqrt(len(gradients))
    found = gradients.mean(axis=0)
    if np.any(np.abs(found - exact) > STANDARD_ERRORS * errors):
        raise AssertionError(f"mean gradient of {name} is {found} +- {errors}, expected {exact}")


def main(name):
    """Prints seconds of compilation (tracing included), and seconds per call of both programs round by round."""
    estimator, by_hand = PROGRAMS[name]
    params = jnp.asarray(START, jnp.float32)
    keys = list(jax.block_until_ready(jax.random.split(jax.random.key(0), ROUNDS * CALLS)))
    programs, prepare_s = {}, {}
    for who, gradient in (("genjax", genjax_gradient(estimator)), ("by_hand", by_hand)):
        start = time.perf_counter()
        programs[who] = jax.jit(gradient).lower(keys[0], params).compile()
        prepare_s[who] = time.perf_counter() - start
        check(f"{name}, {who}", np.array([programs[who](key, params) for key in keys], np.float64))
    seconds: dict[str, list[float]] = {who: [] for who in programs}
    for turn in range(ROUNDS):
        for who in sorted(programs, reverse=turn % 2 == 0):  # who comes first alternates
            start = time.perf_counter()
            for key in keys[turn * CALLS : (turn + 1) * CALLS]:
                jax.block_until_ready(programs[who](key, params))
            seconds[who].append((time.perf_counter() - start) / CALLS)
    print(json.dumps({"name": name, "n_lanes": LANES, "prepare_s": prepare_s, "seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1])
