"""Importance sampling over the number of sites of a model; particles or chains on forced devices of this CPU.

`growth.py sites N SECONDS` prints seconds of calls, and of compiling; likewise with `devices` or `chains` for `sites`.
"""

import json
import os
import sys
import time

if __name__ == "__main__" and sys.argv[1] in ("devices", "chains"):
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={sys.argv[2]}"
if __name__ == "__main__" and sys.argv[1] == "chains":
    # One thread for each device: the operations of a step are too small to be divided once more.
    os.environ["XLA_FLAGS"] += " --xla_cpu_multi_thread_eigen=false"

import jax
import jax.numpy as jnp
import numpy as np

from genjax import gen, normal, seed, sel
from genjax.inference import HMC, chain, importance_sampling
from genjax.inference.sharded import sharded

N_PARTICLES = {"sites": 1_000, "devices": 1 << 20}
N_CHAINS, N_STEPS, N_BURN_IN = 1_000, 100, 50
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


def curve():
    """(50, 3) powers of the points, and (50,) observations."""
    xs = np.linspace(0.0, 1.0, 50, dtype=np.float32)
    return np.stack([np.ones_like(xs), xs, xs * xs], axis=1), 1 + xs - xs * xs


def chains_program(n_devices):
    """A thousand chains of Hamiltonian Monte Carlo on a curve through fifty points, divided among the devices."""
    powers, ys = map(jnp.asarray, curve())

    @gen
    def model():
        coefficients = normal.repeat(3)(0.0, 1.0) @ "coefficients"
        normal.vmap(in_axes=(0, None))(powers @ coefficients, 1.0) @ "ys"

    def last():
        trace, _ = model.generate({"ys": ys, "coefficients": jnp.zeros(3)})
        loop = chain(HMC(sel("coefficients"), 0.05, 20), collect=lambda trace: trace.get_choices()["coefficients"])
        return loop(trace.observe({"ys": ys}), N_STEPS, burn_in=N_BURN_IN, n_chains=N_CHAINS).traces[:, -1]

    mesh = jax.make_mesh((n_devices,), ("chains",))
    return sharded(seed(last), mesh, size=N_CHAINS)


def check_weights(log_weights):
    """Of importance sampling: y ~ N(0, 2) at 1; the mean of the weights is its density, within standard errors."""
    weights = np.exp(np.asarray(log_weights, np.float64))
    expected = np.exp(-0.25) / np.sqrt(4 * np.pi)
    error = weights.std() / np.sqrt(len(weights))
    if abs(weights.mean() - expected) > STANDARD_ERRORS * error:
        raise AssertionError(f"mean weight is {weights.mean()}, expected {expected} +- {error}")


def check_states(states):
    """Of chains: the last states sample the conjugate posterior, and have its means within standard errors."""
    powers, ys = (np.asarray(value, np.float64) for value in curve())
    covariance = np.linalg.inv(np.eye(3) + powers.T @ powers)
    expected, errors = covariance @ powers.T @ ys, np.sqrt(np.diag(covariance) / N_CHAINS)
    found = np.asarray(states, np.float64).mean(0)
    if np.any(np.abs(found - expected) > STANDARD_ERRORS * errors):
        raise AssertionError(f"the chains' last states have means {found}, expected {expected} +- {errors}")


def main(what, size, budget):
    """Checks one call, then times calls for so many seconds, five at least."""
    program = {"sites": sites_program, "devices": devices_program, "chains": chains_program}[what](size)
    keys = list(jax.random.split(jax.random.key(0), 64))
    start = time.perf_counter()
    compiled = (jax.jit(program) if what == "sites" else program).lower(keys[0]).compile()
    compile_s = time.perf_counter() - start
    (check_states if what == "chains" else check_weights)(jnp.asarray(compiled(keys[0])))
    seconds: list[float] = []
    end = time.perf_counter() + budget
    while len(seconds) < FEWEST or time.perf_counter() < end:
        key = keys[len(seconds) % len(keys)]
        start = time.perf_counter()
        jax.block_until_ready(compiled(key))
        seconds.append(time.perf_counter() - start)
    # A step of a chain draws a momentum of three, and one number for its acceptance.
    draws = 4 * N_CHAINS * N_STEPS if what == "chains" else N_PARTICLES[what] * (size if what == "sites" else 1)
    print(json.dumps({"seconds": seconds, "compile_s": compile_s, "draws": draws}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
