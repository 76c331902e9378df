"""Run by test_sharded.py in processes of its own: programs on 1, 2 and 4 devices, and what each gave, as JSON.

`sharded_program.py devices` forces four devices of this machine's CPU; `sharded_program.py process INDEX PORT` is
one of two processes with one device each.
"""

import json
import os
import sys

if sys.argv[1] == "devices":
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count=4".strip()
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from genjax import const, gamma, gen, hmc, mh, normal, seed, sel
from genjax.inference import chain, importance_sampling, log_evidence, rejuvenation_smc
from genjax.inference.sharded import sharded

N, N_CHAINS = 4096, 64
XS = np.linspace(0.0, 1.0, 64, dtype=np.float32)
YS = np.float32(0.3) + np.float32(0.8) * XS
STEPS = np.linspace(0.0, 2.0, 5, dtype=np.float32)


@gen
def line():
    intercept = normal(0.0, 1.0) @ "intercept"
    slope = gamma(2.0, 1.0) @ "slope"
    normal.vmap(in_axes=(0, None))(intercept + slope * XS, 0.3) @ "ys"


@gen
def walk(before):
    now = normal(0.9 * before, 0.5) @ "now"
    normal(now, 0.3) @ "seen"
    return (now,)


def weighted():
    found = importance_sampling(line, (), N, {"ys": YS})
    return {**{name: found.traces.get_choices()[name] for name in ("intercept", "slope")}, "w": found.log_weights}


def resampled():
    draws = importance_sampling(line, (), N, {"ys": YS}, n_draws=N).draws.get_choices()
    return {name: draws[name] for name in ("intercept", "slope", "ys")}


def evidence():
    return {"log_evidence": log_evidence(line, (), N, {"ys": YS})}


def filtered():
    observed = {"seen": STEPS}
    move = lambda trace: mh(trace, sel("now"))
    found = rejuvenation_smc(walk, None, move, observed, (0.0,), n_particles=const(N), ess_threshold=1.0)
    return {"now": found.traces.get_choices()["now"], "ancestors": found.ancestor_indices}


def chains():
    trace, _ = walk.generate({"seen": 1.0, "now": 0.5}, 0.0)
    found = chain(lambda trace: hmc(trace, sel("now"), 0.1, 3))(trace, const(10), n_chains=const(N_CHAINS))
    return {"now": found.traces.get_choices()["now"], "accepts": found.accepts}


PROGRAMS = {"weighted": N, "resampled": N, "evidence": N, "filtered": N, "chains": N_CHAINS}


def divided_over(devices, name):
    return sharded(seed(globals()[name]), Mesh(np.array(devices), ("lanes",)), size=PROGRAMS[name])


def on_devices():
    """For each program and number of devices: largest difference without devices, bytes and parts."""
    report = {}
    for name in PROGRAMS:
        key = jax.random.key(3)
        plain = jax.jit(seed(globals()[name]))(key)
        for n_devices in (2, 4) if name in ("filtered", "chains") else (1, 2, 4):
            compiled = divided_over(jax.devices()[:n_devices], name).lower(key).compile()
            found = compiled(key)
            memory = compiled.memory_analysis()
            report[f"{name}/{n_devices}"] = {
                "differences": {
                    output: float(
                        np.max(np.abs(np.asarray(found[output], np.float64) - np.asarray(values, np.float64)))
                    )
                    for output, values in plain.items()
                },
                "bytes": memory.temp_size_in_bytes + memory.output_size_in_bytes,
                "parts": sorted({len({str(s.index) for s in v.addressable_shards}) for v in found.values()}),
            }
    return report


def in_process(index, port):
    """The part of two processes: `weighted` and the evidence, over a device of each. The first says what to expect."""
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=index, initialization_timeout=60)
    key = jax.random.key(3)
    own = divided_over(jax.devices(), "weighted")(key)["w"].addressable_shards[0]
    estimate = divided_over(jax.devices(), "evidence")(key)["log_evidence"]
    expected = jax.jit(seed(weighted))(key)["w"]
    return {
        "n_devices": len(jax.devices()),
        "start": own.index[0].start or 0,
        "length": own.data.shape[0],
        "same": bool(jnp.all(own.data == expected[own.index])),
        "log_evidence": float(estimate),
        "expected": float(jax.jit(seed(evidence))(key)["log_evidence"]) if index == 0 else None,
    }


if __name__ == "__main__":
    print(json.dumps(on_devices() if sys.argv[1] == "devices" else in_process(*map(int, sys.argv[2:]))))
