"""The bias of a coin by importance sampling, against its exact posterior."""

from math import gamma
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from genjax import beta, flip, gen, modular_vmap, seed


@gen
def coin():
    """A bias, and fifty tosses."""
    bias = beta(10.0, 10.0) @ "bias"
    return flip.repeat(50)(bias) @ "tosses"


def particle(tosses):
    """A bias from the prior, weighted by the likelihood of the tosses."""
    trace, log_weight = coin.generate({"tosses": tosses})
    return trace["bias"], log_weight


importance_sampling = jax.jit(seed(modular_vmap(particle, in_axes=None, axis_size=100_000)))
bias, log_weights = importance_sampling(jax.random.key(0), jnp.arange(50) < 35)
weights = np.asarray(jax.nn.softmax(log_weights))
print(f"posterior mean {weights @ np.asarray(bias):.3f}, exactly {45 / 70:.3f}")  # posterior mean 0.643, exactly 0.643

grid = np.linspace(0.3, 0.95, 300)
exact = gamma(70) / gamma(45) / gamma(25) * grid**44 * (1 - grid) ** 24
figure = Figure(figsize=(5, 3), layout="constrained")
axes = figure.add_subplot(xlabel="bias", ylabel="density", title="35 heads in 50 tosses")
axes.hist(np.asarray(bias), 60, weights=weights, density=True, color="#9ec5e8", label="importance sampling")
axes.plot(grid, exact, color="#1b3a57", label="exact: Beta(45, 25)")
axes.legend()
if __name__ == "__main__":
    figure.savefig(Path(__file__).parent / "pictures" / "coin.png", dpi=80)
