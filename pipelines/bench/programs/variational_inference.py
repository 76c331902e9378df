"""Seconds of a compiled variational fit of a ten-dimensional Gaussian; the fit is checked against the posterior."""

import json
import time

import jax
import jax.numpy as jnp
import numpy as np

from genjax import elbo_vi, gen, mean_field_normal_family, multivariate_normal, seed

N_DIMS = 10
N_STEPS = 1_000
N_CALLS = 9
NOISE_VARIANCE = 0.5
TOLERANCE = 0.15


@gen
def model():
    x = multivariate_normal(jnp.zeros(N_DIMS), jnp.eye(N_DIMS)) @ "x"
    return multivariate_normal(x, NOISE_VARIANCE * jnp.eye(N_DIMS)) @ "y"


def fit(key, y):
    steps = seed(
        lambda y: elbo_vi(
            model, mean_field_normal_family(N_DIMS), jnp.zeros(2 * N_DIMS), {"y": y}, (), 0.01, n_iterations=N_STEPS
        )
    )
    return steps(key, y)


def check(y, found):
    """Expects the conjugate posterior of the mean of the second half of the steps.

    Each step has one draw: the gradient of a log standard deviation has sd s = sqrt(2) there and slope -h = -2. Adam at
    rate r = 0.01 steps by r gradient / s, so the stationary variance is r s / (2 h), that of sd 0.06, and the
    autocorrelation time s / (r h) = 70 steps; the mean of 500 has a standard error of 0.031, that of a mean (s^2 = h =
    3) of 0.026. The tolerance is 4.7 of the larger one: a false-alarm rate of 5e-5 for 20 of them.
    """
    variance = 1.0 / (1.0 + 1.0 / NOISE_VARIANCE)
    settled = np.asarray(found.param_history, np.float64)[N_STEPS // 2 :].mean(axis=0)
    exact = np.concatenate([variance * y / NOISE_VARIANCE, np.full(N_DIMS, 0.5 * np.log(variance))])
    worst = np.abs(settled - exact).max()
    if worst > TOLERANCE:
        raise AssertionError(f"the fit is off by {worst}, more than {TOLERANCE}")
    if found.loss_history.shape != (N_STEPS,) or not np.isfinite(found.loss_history).all():
        raise AssertionError(f"the history of losses has shape {found.loss_history.shape}, or is not finite")


def main():
    """Prints seconds per call of the compiled fit, its whole history kept, and of its compilation."""
    keys = list(jax.block_until_ready(jax.random.split(jax.random.key(0), N_CALLS + 1)))
    y = np.linspace(-2.0, 2.0, N_DIMS)
    operand = jnp.asarray(y, jnp.float32)
    start = time.perf_counter()
    compiled = jax.jit(fit).lower(keys[0], operand).compile()
    compile_s = time.perf_counter() - start
    check(y, compiled(keys[0], operand))
    seconds = []
    for key in keys[1:]:
        start = time.perf_counter()
        jax.block_until_ready(compiled(key, operand))
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"n_steps": N_STEPS, "n_dims": N_DIMS, "seconds": seconds, "compile_s": compile_s}))


if __name__ == "__main__":
    main()
