"""Variational inference: a normal approximation of a posterior on the log odds of a success."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from genjax import binomial, elbo_vi, gen, normal, normal_reparam, seed


@gen
def trial():
    """Log odds, and successes among twenty."""
    log_odds = normal(0.0, 1.5) @ "log_odds"
    return binomial(20.0, log_odds) @ "successes"


@gen
def approximation(observed, parameters):
    """A normal whose draws can be differentiated."""
    normal_reparam(parameters["mean"], jnp.exp(parameters["log_sd"])) @ "log_odds"


@jax.jit
@seed
def fit():
    """The parameters that maximise the evidence lower bound, with their history."""
    start = {"mean": 0.0, "log_sd": 0.0}
    return elbo_vi(trial, approximation, start, {"successes": 15.0}, (), 0.02, n_iterations=1_000, n_samples=16)


history = fit(jax.random.key(0)).param_history
mean, sd = float(history["mean"][500:].mean()), float(jnp.exp(history["log_sd"][500:].mean()))

grid = np.linspace(-1.0, 3.0, 400)
density = np.exp(-0.5 * (grid / 1.5) ** 2 + 15 * grid - 20 * np.log1p(np.exp(grid)))
density /= density.sum() * (grid[1] - grid[0])
exact = float((grid * density).sum() * (grid[1] - grid[0]))
print("mean within 0.05 of the exact one:", abs(mean - exact) < 0.05)  # mean within 0.05 of the exact one: True

figure = Figure(figsize=(5, 3), layout="constrained")
axes = figure.add_subplot(xlabel="log odds", ylabel="density", title="15 successes in 20 trials")
axes.plot(grid, density, color="#1b3a57", label="exact posterior")
normal_density = np.exp(-0.5 * ((grid - mean) / sd) ** 2) / sd / np.sqrt(2 * np.pi)
axes.plot(grid, normal_density, "--", color="#de8f05", label="variational approximation")
axes.legend()
if __name__ == "__main__":
    figure.savefig(Path(__file__).parent / "pictures" / "variational.png", dpi=80)
