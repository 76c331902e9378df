"""Seconds to trace and to compile a model of 50 sites. Runs on any genjax with this API."""

import importlib.metadata
import json
import sys
import time

import jax

from genjax import gen, normal, seed

N_SITES = 50


def random_walk(n_sites):
    """A new generative function: `n_sites` normals, each around the one before."""

    @gen
    def model():
        x = 0.0
        for i in range(n_sites):
            x = normal(x, 1.0) @ f"x{i}"
        return x

    return model


def programs(n_sites):
    """Functions of a key: a trace drawn, and one with every second site constrained."""
    simulated, generated = random_walk(n_sites), random_walk(n_sites)
    constraints = {f"x{i}": 0.5 for i in range(0, n_sites, 2)}

    def simulate():
        trace = simulated.simulate()
        return trace.get_choices(), trace.get_score()

    def generate():
        trace, log_weight = generated.generate(constraints)
        return trace.get_choices(), log_weight

    return {"simulate": simulate, "generate": generate}


def staged(function, key):
    """(seconds of tracing and lowering, seconds of compilation) of a function of a key."""
    start = time.perf_counter()
    lowered = jax.jit(seed(function)).lower(key)
    middle = time.perf_counter()
    compiled = lowered.compile()
    end = time.perf_counter()
    choices, _ = compiled(key)
    assert sorted(choices) == sorted(f"x{i}" for i in range(len(choices)))
    return middle - start, end - middle


def main():
    """Prints, of each program, the (trace, compile) seconds, and the versions."""
    key = jax.block_until_ready(jax.random.key(0))
    for function in programs(2).values():  # what is loaded on first use is not the model's
        staged(function, key)
    seconds = {name: staged(function, key) for name, function in programs(N_SITES).items()}
    own = sys.modules["genjax"].__file__
    try:
        version = importlib.metadata.version("genjax")
    except importlib.metadata.PackageNotFoundError:
        version = None
    print(json.dumps({"n_sites": N_SITES, "seconds": seconds, "jax": jax.__version__, "genjax": version, "file": own}))


if __name__ == "__main__":
    main()
