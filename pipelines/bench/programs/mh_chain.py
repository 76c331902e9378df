"""Seconds of a compiled Metropolis-Hastings chain on two sites, one observed; its moments are checked."""

import json
import math
import time

import jax
import numpy as np

from genjax import chain, gen, get_choices, mh, normal, seed, sel

N_STEPS = 50_000
N_CALLS = 9
BATCHES = 100
STANDARD_ERRORS = 6.0


@gen
def model():
    x = normal(0.0, 1.0) @ "x"
    return normal(x, 0.5) @ "y"


def check(x):
    """Expects the conjugate posterior mean of x given y = 1 within standard errors by batch means."""
    mean = 1.0 / (1.0 + 0.5**2)
    batches = x.reshape(BATCHES, -1).mean(axis=1)
    error = batches.std(ddof=1) / math.sqrt(BATCHES)
    if abs(x.mean() - mean) > STANDARD_ERRORS * error:
        raise AssertionError(f"posterior mean of x is {x.mean()} +- {error}, expected {mean}")


def main():
    """Prints seconds per call of the compiled chain, all of its states kept, and of its compilation."""
    keys = jax.block_until_ready(jax.random.split(jax.random.key(0), N_CALLS + 1))
    trace = jax.block_until_ready(model.generate({"x": 0.0, "y": 1.0})[0])
    run = seed(chain(lambda trace: mh(trace, sel("x"))))
    start = time.perf_counter()
    compiled = jax.jit(lambda key, trace: run(key, trace, N_STEPS)).lower(keys[0], trace).compile()
    compile_s = time.perf_counter() - start
    check(np.asarray(get_choices(compiled(keys[0], trace).traces)["x"], np.float64))
    seconds = []
    for key in keys[1:]:
        start = time.perf_counter()
        jax.block_until_ready(compiled(key, trace))
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"n_steps": N_STEPS, "seconds": seconds, "compile_s": compile_s}))


if __name__ == "__main__":
    main()
