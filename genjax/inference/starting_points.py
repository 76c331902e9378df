"""Where chains may start: several starts, spread as the prior is, none of them hopeless."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from genjax.core.arguments import map_batch
from genjax.core.const import Size, count
from genjax.core.gfi import AnyGFI
from genjax.core.trace import AnyTrace
from genjax.distributions import categorical
from genjax.inference.importance import weighted_traces
from genjax.pjax.partition import take_lanes
from genjax.signatures import Args, Constraints


def starting_points(
    model: AnyGFI,
    args: Args,
    constraints: Constraints,
    n_chains: Size,
    *,
    n_tries: Size = 10,
    power: float | jax.Array = 1.0,
) -> AnyTrace:
    """A batch of traces for `chain(kernel)(..., n_chains=n_chains)`, one for each chain; needs `seed`.

    For each chain, `n_tries` traces are drawn from the model given the constraints, and one of them is chosen with
    probability proportional to `p(constraints | it)^power`. So starts are more spread than the posterior, as R-hat
    wants them, and of positive density if any try was.

    Args:
        model: the generative function.
        args: its arguments, a tuple.
        constraints: observed choices.
        n_chains: number of starts, int or `Const`.
        n_tries: draws for each of them, int or `Const`; 1 takes draws from the prior as they are.
        power: between 0, any try of positive density, and 1.

    Raises:
        ValueError: fewer than one chain or try, or a power outside [0, 1].
    """
    n, n_tries = count(n_chains, "n_chains", least=1), count(n_tries, "n_tries", least=1)
    if not isinstance(power, jax.core.Tracer) and not 0 <= power <= 1:
        raise ValueError(f"starting_points got power={power}. It is between 0 and 1.")
    traces, log_weights = weighted_traces(model, args, n * n_tries, constraints)
    is_possible = log_weights > -jnp.inf  # false for NaN
    tempered = jnp.where(is_possible, power * jnp.where(is_possible, log_weights, 0.0), -jnp.inf)
    rows = tempered.reshape(n, n_tries)
    # Where no try is possible, any will do: the chain says so when it starts.
    rows = jnp.where(jnp.any(rows > -jnp.inf, axis=1, keepdims=True), rows, 0.0)
    chosen = jnp.arange(n) * n_tries + categorical.sample(rows)
    return map_batch(lambda leaf: take_lanes(leaf, chosen), traces)


starting_points.__static_parameters__ = ("n_chains", "n_tries")  # type: ignore[attr-defined]
