"""What the machine allows: the rates of random bits, of a copy from memory, and of a matrix product, the best of some.

`limits.py N_DRAWS N_FLOATS SIDE` prints seconds per Threefry evaluation, bytes per second and operations per second.
"""

import json
import sys
import time

import jax
import jax.numpy as jnp

N_CALLS = 7


def best_seconds(program, *arguments):
    """The shortest of some calls: a limit is what the machine can do."""
    compiled = jax.jit(program).lower(*arguments).compile()
    jax.block_until_ready(compiled(*arguments))
    seconds = []
    for _ in range(N_CALLS):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main(n_draws, n_floats, side):
    """Prints the three rates."""
    bits = best_seconds(lambda key: jax.random.bits(key, (n_draws,), jnp.uint32), jax.random.key(0))
    copied = best_seconds(lambda values: values + 1.0, jnp.zeros(n_floats, jnp.float32))
    matrix = jnp.ones((side, side), jnp.float32)
    product = best_seconds(jnp.matmul, matrix, matrix)
    rates = {
        "seconds_per_draw": bits / n_draws,
        "bytes_per_second": 2 * 4 * n_floats / copied,
        "flops_per_second": 2 * side**3 / product,
    }
    print(json.dumps(rates))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
