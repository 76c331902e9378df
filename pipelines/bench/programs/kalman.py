"""Seconds of a compiled Kalman filter over a long sequence; it is checked against the same recursion in NumPy."""

import json
import time

import jax
import jax.numpy as jnp
import numpy as np

from genjax import kalman_filter

N_STEPS = 10_000
N_CALLS = 9
A = np.array([[1.0, 0.1, 0.0, 0.0], [0.0, 0.95, 0.0, 0.0], [0.0, 0.0, 1.0, 0.1], [0.0, 0.0, 0.0, 0.95]])
Q = 0.1 * np.eye(4)
C = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
R = 0.5 * np.eye(2)
MODEL = (np.zeros(4), np.eye(4), A, Q, C, R)
RELATIVE = 1e-4


def dataset():
    """(N_STEPS, 2) observations of the model, in float64."""
    random = np.random.default_rng(0)
    state, rows = random.normal(size=4), []
    for _ in range(N_STEPS):
        rows.append(C @ state + np.sqrt(0.5) * random.normal(size=2))
        state = A @ state + np.sqrt(0.1) * random.normal(size=4)
    return np.array(rows)


def reference(observations):
    """`(last mean, last covariance, log marginal)`, in float64."""
    mean, covariance = MODEL[:2]
    total = 0.0
    for index, observation in enumerate(observations):
        if index:
            mean, covariance = A @ mean, A @ covariance @ A.T + Q
        innovation, S = observation - C @ mean, C @ covariance @ C.T + R
        total -= 0.5 * (innovation @ np.linalg.solve(S, innovation) + np.linalg.slogdet(2 * np.pi * S)[1])
        gain = covariance @ C.T @ np.linalg.inv(S)
        mean, covariance = mean + gain @ innovation, covariance - gain @ C @ covariance
    return mean, covariance, total


def check(observations, found):
    """Expects the moments of the last step and the log marginal of float64, relative to the largest entry."""
    means, covariances, log_marginal = found
    pairs = zip((means[-1], covariances[-1], log_marginal), reference(observations), strict=True)
    for what, (got, exact) in zip(("mean", "covariance", "log marginal"), pairs, strict=True):
        error = np.abs(np.asarray(got, np.float64) - exact).max() / np.abs(exact).max()
        if error > RELATIVE:
            raise AssertionError(f"the {what} is off by {error}, relative to its largest entry")


def main():
    """Prints seconds per call of the compiled filter, all moments kept, and of its compilation."""
    observations = dataset()
    operands = jax.block_until_ready([jnp.asarray(array, jnp.float32) for array in (observations, *MODEL)])
    start = time.perf_counter()
    compiled = jax.jit(kalman_filter).lower(*operands).compile()
    compile_s = time.perf_counter() - start
    check(observations, compiled(*operands))
    seconds = []
    for _ in range(N_CALLS):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*operands))
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"n_steps": N_STEPS, "seconds": seconds, "compile_s": compile_s}))


if __name__ == "__main__":
    main()
