"""Seconds of un-jitted calls of a seeded chain, the first in a process and later ones."""

import json
import time

import jax

from genjax import chain, gen, mh, normal, seed, sel

N_STEPS = 100
N_LATER = 20


@gen
def model():
    x = normal(0.0, 1.0) @ "x"
    return normal(x, 0.5) @ "y"


def kernel(trace):
    return mh(trace, sel("x"))


def main():
    """Prints `first_s` and `later_s`; every call has a key of its own."""
    keys = jax.block_until_ready(jax.random.split(jax.random.key(0), N_LATER + 1))
    trace = jax.block_until_ready(model.generate({"y": 1.0})[0])
    run = seed(chain(kernel))
    seconds = []
    for key in keys:
        start = time.perf_counter()
        jax.block_until_ready(run(key, trace, N_STEPS))
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"n_steps": N_STEPS, "first_s": seconds[0], "later_s": seconds[1:]}))


if __name__ == "__main__":
    main()
