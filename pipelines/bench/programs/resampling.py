"""Time and temporary memory of one resampling method at one number of particles; its ancestors are checked."""

import json
import math
import sys
import time

import jax
import numpy as np

from genjax import seed
from genjax.inference.resampling import resample_ancestors

N_CALLS = 15
STANDARD_ERRORS = 6.0


def check(log_weights, ancestors):
    """Expects the mean position of the ancestors where the weights put it, within multinomial standard errors."""
    n = len(log_weights)
    weights = np.exp(log_weights.astype(np.float64) - log_weights.max())
    weights /= weights.sum()
    position = np.arange(n) / n
    mean = weights @ position
    error = math.sqrt(weights @ (position - mean) ** 2 / n)
    got = position[ancestors].mean()
    if abs(got - mean) > STANDARD_ERRORS * error:
        raise AssertionError(f"mean position of the ancestors is {got}, expected {mean} +- {error}")


def main(method, n):
    """Prints seconds per call and the bytes that XLA reserves beside inputs and outputs."""
    log_weights = jax.random.normal(jax.random.key(1), (n,))
    keys = jax.block_until_ready(jax.random.split(jax.random.key(0), N_CALLS + 1))
    program = jax.jit(seed(lambda log_weights: resample_ancestors(log_weights, method=method)))
    compiled = program.lower(keys[0], log_weights).compile()
    check(np.asarray(log_weights), np.asarray(compiled(keys[0], log_weights)))
    seconds = []
    for key in keys[1:]:
        start = time.perf_counter()
        jax.block_until_ready(compiled(key, log_weights))
        seconds.append(time.perf_counter() - start)
    temporary = compiled.memory_analysis().temp_size_in_bytes
    print(json.dumps({"method": method, "n": n, "seconds": seconds, "temporary_bytes": temporary}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
