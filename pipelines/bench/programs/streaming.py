"""Streaming importance sampling of many particles: time, XLA's count of memory, and what the process took.

`streaming.py N SECONDS` prints them as JSON, beside the time of a million particles in memory; both programs are called
for so many seconds, three times at least.
"""

import json
import sys
import time
from pathlib import Path

import jax
import numpy as np

from genjax import gen, normal, seed
from genjax.inference import importance_sampling, streaming_importance_sampling

IN_MEMORY = 1_000_000
N_DRAWS = 100
FEWEST = 3
STANDARD_ERRORS = 6.0


@gen
def model():
    normal(normal(0.0, 1.0) @ "mu", 0.5) @ "y"


def streamed(n):
    """The program that does not hold its particles."""
    return seed(lambda: streaming_importance_sampling(model, (), n, {"y": 1.5}, n_draws=N_DRAWS))


def in_memory():
    """The same of so many particles as fit, resampled."""
    found = importance_sampling(model, (), IN_MEMORY, {"y": 1.5}, n_draws=N_DRAWS)
    return found.draws.get_choices()["mu"], found.log_evidence()


def check(n, log_evidence, draws):
    """y ~ N(0, 1.25): the estimate of log Z within its standard error, and draws around their mean 1.2."""
    exact = -0.5 * (np.log(2 * np.pi * 1.25) + 1.5**2 / 1.25)
    # A weight squared is a normal density of half the variance, over sqrt(4 pi) times the noise's standard deviation.
    squares = np.exp(-0.5 * 1.5**2 / 1.125) / np.sqrt(2 * np.pi * 1.125) / np.sqrt(4 * np.pi * 0.25)
    error = STANDARD_ERRORS * ((squares / np.exp(2 * exact) - 1) / n) ** 0.5 + 1e-4  # float32 sums
    if abs(log_evidence - exact) > error:
        raise AssertionError(f"log evidence is {log_evidence}, expected {exact} +- {error}")
    if abs(draws.mean() - 1.2) > STANDARD_ERRORS * (0.2 / N_DRAWS) ** 0.5:
        raise AssertionError(f"mean of the draws is {draws.mean()}, expected 1.2")


def resident(name):
    """Bytes of this process by /proc/self/status: VmRSS now, VmHWM at most; None elsewhere than Linux."""
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), None)


def timed(program, budget):
    """Seconds of calls with new keys, three at least."""
    seconds: list[float] = []
    end = time.perf_counter() + budget
    while len(seconds) < FEWEST or time.perf_counter() < end:
        key = jax.random.key(len(seconds) + 1)
        start = time.perf_counter()
        jax.block_until_ready(program(key))
        seconds.append(time.perf_counter() - start)
    return seconds


def main(n, budget):
    """Streams first, so that what the process took at most is not that of the particles in memory."""
    program = jax.jit(streamed(n)).lower(jax.random.key(0)).compile()
    memory = program.memory_analysis()
    before = resident("VmRSS")
    found = program(jax.random.key(0))
    check(n, float(found.log_evidence()), np.asarray(found.draws["mu"], np.float64))
    most = resident("VmHWM")
    seconds = timed(program, budget)
    whole = jax.jit(seed(in_memory)).lower(jax.random.key(0)).compile()
    report = {
        "n": n,
        "seconds": seconds,
        "in_memory": {"n": IN_MEMORY, "seconds": timed(whole, budget)},
        "bytes": memory.temp_size_in_bytes + memory.output_size_in_bytes + memory.argument_size_in_bytes,
        "resident_bytes": most,
        "resident_growth_bytes": None if before is None else max(most - before, 0),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
