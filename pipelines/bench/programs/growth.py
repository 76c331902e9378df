"""Importance sampling over the number of sites of a model, or divided among forced devices of this CPU.

`growth.py sites N SECONDS` and `growth.py devices N SECONDS` print seconds of calls, and of compiling.
"""

import json
import os
import sys
import time

if __name__ == "__main__" and sys.argv[1] == "devices":
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={sys.argv[2]}"

import jax
import jax.numpy as jnp
import numpy as np

from genjax import gen, normal, seed
from genjax.inference import importance_sampling
from genjax.inference.sharded import sharded

N_PARTICLES = {"sites": 1_000, "devices": 1 << 20}
FEWEST = 5
STANDARD_ERRORS = 6.0


def sites_program(n_sites):
    """Each of n sites is normal around the one before; an observation of the last."""

    @gen
    def walk():
        value = 0.0
        for i in range(n_sites):
            value = normal(value, n_sites**-0.5) @ f"x{i}"
        normal(value, 1.0) @ "y"

    return seed(lambda: importance_sampling(walk, (), N_PARTICLES["sites"], {"y": 1.0}).log_weights)


def devices_program(n_devices):
    """A million particles of the same model with one site, divided among the devices."""

    @gen
    def model():
        normal(normal(0.0, 1.0) @ "x", 1.0) @ "y"

    mesh = jax.make_mesh((n_devices,), ("particles",))
    run = seed(lambda: importance_sampling(model, (), N_PARTICLES["devices"], {"y": 1.0}).log_weights)
    return sharded(run, mesh)


def check(log_weights):
    """In both, y ~ N(0, 2) at 1: the mean of the weights is its density, within standard errors."""
    weights = np.exp(np.asarray(log_weights, np.float64))
    expected = np.exp(-0.25) / np.sqrt(4 * np.pi)
    error = weights.std() / np.sqrt(len(weights))
    if abs(weights.mean() - expected) > STANDARD_ERRORS * error:
        raise AssertionError(f"mean weight is {weights.mean()}, expected {expected} +- {error}")


def main(what, size, budget):
    """Checks one call, then times calls for so many seconds, five at least."""
    program = {"sites": sites_program, "devices": devices_program}[what](size)
    keys = list(jax.random.split(jax.random.key(0), 64))
    start = time.perf_counter()
    compiled = (jax.jit(program) if what == "sites" else program).lower(keys[0]).compile()
    compile_s = time.perf_counter() - start
    check(jnp.asarray(compiled(keys[0])))
    seconds: list[float] = []
    end = time.perf_counter() + budget
    while len(seconds) < FEWEST or time.perf_counter() < end:
        key = keys[len(seconds) % len(keys)]
        start = time.perf_counter()
        jax.block_until_ready(compiled(key))
        seconds.append(time.perf_counter() - start)
    draws = N_PARTICLES[what] * (size if what == "sites" else 1)
    print(json.dumps({"seconds": seconds, "compile_s": compile_s, "draws": draws}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
