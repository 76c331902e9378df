"""Processor time of NUTS per gradient evaluation in three systems, on one posterior with one step size."""

import json
import math
import sys
import time

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import NUTS as NumPyroNUTS

from genjax import bernoulli, chain, gen, get_choices, normal, seed, sel
from genjax.inference import NUTS

N_ROWS, N_COLUMNS = 1_000, 24  # of the German credit data; drawn here
STEP_SIZE = 0.04
START = 0.01  # of all weights: at 0 NumPyro's gradient of a Bernoulli's logits is wrong, by a max whose arguments tie
REPEATS = 7
COMPILATIONS = 3  # of each system, in turn: the first pays for what JAX sets up once in a process
STANDARD_ERRORS = 6.0


def draw_data():
    """Standardised features, the first column ones, and labels drawn from the model."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(N_ROWS, N_COLUMNS)).astype(np.float32)
    features[:, 0] = 1.0
    weights = rng.normal(size=N_COLUMNS) * 0.5
    labels = rng.random(N_ROWS) < 1 / (1 + np.exp(-features @ weights))
    return jnp.asarray(features), jnp.asarray(labels.astype(np.int32))


FEATURES, LABELS = draw_data()


def genjax_run(n_chains, n_steps):
    """`key -> (weights ([chains,] steps, N_COLUMNS), gradient evaluations)`."""

    @gen
    def model():
        weights = normal.repeat(N_COLUMNS)(0.0, 1.0) @ "weights"
        return bernoulli.vmap()(FEATURES @ weights) @ "labels"

    start, _ = model.generate({"weights": jnp.full(N_COLUMNS, START), "labels": LABELS == 1})
    start = start.observe({"labels": LABELS == 1})
    run = seed(chain(NUTS(sel("weights"), STEP_SIZE), collect=get_choices))

    def draws(key):
        result = run(key, start, n_steps, n_chains=n_chains)
        return result.traces["weights"], jnp.sum(result.info.n_gradients)

    return draws


def numpyro_run(n_chains, n_steps):
    """`key -> (weights, gradient evaluations)`."""

    def model():
        weights = numpyro.sample("weights", dist.Normal(jnp.zeros(N_COLUMNS), 1.0).to_event(1))
        numpyro.sample("labels", dist.Bernoulli(logits=FEATURES @ weights), obs=LABELS)

    kernel = NumPyroNUTS(model, step_size=STEP_SIZE, adapt_step_size=False, adapt_mass_matrix=False)
    shape = () if n_chains == 1 else (n_chains,)
    keys = jax.random.key_data(jax.random.split(jax.random.key(1), shape))
    state = kernel.init(keys, 0, {"weights": jnp.full((*shape, N_COLUMNS), START)}, (), {})

    def draws(key):
        def step(state, _):
            state = kernel.sample(state, (), {})
            return state, (state.z["weights"], state.num_steps)

        start = state._replace(rng_key=jax.random.key_data(jax.random.split(key, shape)))
        _, (weights, counts) = jax.lax.scan(step, start, None, length=n_steps)
        return weights if n_chains == 1 else jnp.moveaxis(weights, 0, 1), jnp.sum(counts)

    return draws


def blackjax_run(n_chains, n_steps):
    """`key -> (weights, gradient evaluations)`."""

    def log_density(weights):
        logits = FEATURES @ weights
        return jnp.sum(LABELS * logits - jax.nn.softplus(logits)) - 0.5 * jnp.sum(weights**2)

    algorithm = blackjax.nuts(log_density, STEP_SIZE, jnp.ones(N_COLUMNS))

    def one(key):
        def step(state, key):
            state, info = algorithm.step(key, state)
            return state, (state.position, info.num_integration_steps)

        start = algorithm.init(jnp.full(N_COLUMNS, START))
        return jax.lax.scan(step, start, jax.random.split(key, n_steps))[1]

    def draws(key):
        run = one if n_chains == 1 else jax.vmap(one)
        weights, counts = run(jax.random.split(key, () if n_chains == 1 else (n_chains,)))
        return weights, jnp.sum(counts)

    return draws


SYSTEMS = {"genjax": genjax_run, "numpyro": numpyro_run, "blackjax": blackjax_run}


def check(draws):
    """Expects the posterior means of all systems to agree, within standard errors."""
    means = {name: mean_and_error(values) for name, values in draws.items()}
    for name, (mean, error) in means.items():
        other, other_error = means["numpyro"]
        distance = np.abs(mean - other) / np.sqrt(error**2 + other_error**2)
        if name != "numpyro" and distance.max() > STANDARD_ERRORS:
            raise AssertionError(f"posterior means of {name} are {distance.max()} standard errors from NumPyro's")


def mean_and_error(values, n_batches=20):
    """Mean of each weight over its draws, ([chains,] steps, weights), all but the first third, and its standard error.

    Chains are independent, steps are not: of one chain, batches of many steps nearly are.
    """
    values = np.asarray(values, np.float64)
    values = values[..., values.shape[-2] // 3 :, :]
    if values.ndim == 3:
        batches = values.mean(axis=1)
    else:
        batches = values[: len(values) // n_batches * n_batches].reshape(n_batches, -1, N_COLUMNS).mean(axis=1)
    return batches.mean(axis=0), batches.std(axis=0, ddof=1) / math.sqrt(len(batches))


def main(n_chains, n_steps):
    """Prints what each system takes of processor time: nanoseconds per gradient evaluation, and seconds to compile."""
    key = jax.random.key(0)
    compiled = {}
    compile_s: dict[str, list[float]] = {name: [] for name in SYSTEMS}
    for _ in range(COMPILATIONS):
        for name, make in SYSTEMS.items():
            start = time.process_time()
            compiled[name] = jax.jit(make(n_chains, n_steps)).lower(key).compile()
            compile_s[name].append(time.process_time() - start)
    check({name: jax.block_until_ready(run(key))[0] for name, run in compiled.items()})
    cost: dict[str, list[float]] = {name: [] for name in SYSTEMS}
    for key in jax.random.split(jax.random.key(1), REPEATS):
        for name, run in compiled.items():
            start = time.process_time()
            _, count = jax.block_until_ready(run(key))
            cost[name].append((time.process_time() - start) * 1e9 / int(count))
    print(json.dumps({"n_chains": n_chains, "n_steps": n_steps, "nanoseconds": cost, "compile_s": compile_s}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
