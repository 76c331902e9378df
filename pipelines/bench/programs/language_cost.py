"""Seconds of importance sampling in the language, and by hand with the same draws; their outputs are compared."""

import json
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from genjax import beta, flip, gen, normal, seed
from genjax.distributions import gammas, noise

ROUNDS = 15
SECONDS_PER_ROUND = 0.05
N_FLIPS, N_HEADS, CONCENTRATION = 50, 40, 10.0
XS = np.linspace(0.0, 1.0, 50, dtype=np.float32)
NOISE_SD = 0.05


@gen
def coin():
    fairness = beta(CONCENTRATION, CONCENTRATION) @ "fairness"
    return flip.repeat(N_FLIPS)(fairness) @ "flips"


def coin_by_hand(n_particles):
    def run(key, flips):
        concentration = jnp.float32(CONCENTRATION)
        fairness = gammas.beta(jax.random.split(key)[1], concentration, concentration, (n_particles,))
        fairness = jnp.clip(fairness, jnp.finfo(jnp.float32).tiny, 1 - jnp.finfo(jnp.float32).epsneg)
        heads, tails = jnp.log(fairness)[:, None], jnp.log1p(-fairness)[:, None]
        return {"fairness": fairness, "log_weights": (flips * heads + (1 - flips) * tails).sum(-1)}

    return run


@gen
def curve():
    a, b, c = (normal(0.0, 1.0) @ name for name in "abc")
    return normal.vmap(in_axes=(0, None))(a + XS * (b + XS * c), NOISE_SD) @ "ys"


def curve_by_hand(n_particles):
    def run(key, ys):
        latents = {}
        for name in "abc":
            key, sub = jax.random.split(key)
            latents[name] = noise.normal(sub, (n_particles,), jnp.float32)

        def log_likelihood(latents):
            means = latents["a"] + XS * (latents["b"] + XS * latents["c"])
            return jax.scipy.stats.norm.logpdf(ys, means, NOISE_SD).sum()

        return {**latents, "log_weights": jax.vmap(log_likelihood)(latents)}

    return run


def in_genjax(model, address, n_particles):
    def run(key, observations):
        def particle():
            trace, log_weight = model.generate({address: observations})
            latents = {name: value for name, value in trace.get_choices().items() if name != address}
            return {**latents, "log_weights": log_weight}

        return seed(jax.vmap(lambda _: particle(), axis_size=n_particles, in_axes=None))(key, None)

    return run


PROGRAMS = {
    "coin": (20_000, coin, "flips", coin_by_hand, np.arange(N_FLIPS) < N_HEADS),
    "curve": (10_000, curve, "ys", curve_by_hand, -0.2 + XS * (0.4 + XS)),
}


def main(name):
    """Prints the seconds of a call of both programs, round by round, and what XLA counts."""
    n_particles, model, address, by_hand, observations = PROGRAMS[name]
    key, observations = jax.random.key(0), jnp.asarray(observations)
    programs, counts = {}, {}
    for who, run in (("genjax", in_genjax(model, address, n_particles)), ("by_hand", by_hand(n_particles))):
        programs[who] = jax.jit(run).lower(key, observations).compile()
        cost = programs[who].cost_analysis()
        counts[who] = {"flops": cost["flops"], "bytes_accessed": cost["bytes accessed"]}
    ours, theirs = (programs[who](key, observations) for who in ("genjax", "by_hand"))
    for output, values in theirs.items():
        np.testing.assert_allclose(ours[output], values, rtol=1e-4, atol=1e-4, err_msg=f"{name}, {output}")
    start = time.perf_counter()
    jax.block_until_ready(programs["by_hand"](key, observations))
    calls = max(1, int(SECONDS_PER_ROUND / (time.perf_counter() - start)))
    seconds: dict[str, list[float]] = {who: [] for who in programs}
    for turn in range(ROUNDS):
        for who in sorted(programs, reverse=turn % 2 == 0):  # who comes first alternates
            start = time.perf_counter()
            for _ in range(calls):
                jax.block_until_ready(programs[who](key, observations))
            seconds[who].append((time.perf_counter() - start) / calls)
    print(json.dumps({"name": name, "n_particles": n_particles, "seconds": seconds, "counts": counts}))


if __name__ == "__main__":
    main(sys.argv[1])
