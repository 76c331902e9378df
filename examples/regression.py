"""Bayesian linear regression by Hamiltonian Monte Carlo, against its exact posterior."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from genjax import chain, gen, normal, seed, sel
from genjax.inference import HMC


@gen
def line(xs):
    """A line through noisy points."""
    intercept = normal(0.0, 2.0) @ "intercept"
    slope = normal(0.0, 2.0) @ "slope"
    return normal.vmap(in_axes=(0, None))(intercept + slope * xs, 0.5) @ "ys"


xs = jnp.linspace(-1.0, 1.0, 10)
ys = jnp.array([-1.9, -1.1, -1.0, -0.2, 0.3, 0.6, 1.6, 1.5, 2.3, 2.4])
start, _ = line.generate({"intercept": 0.0, "slope": 0.0, "ys": ys}, xs)
sample = seed(chain(HMC(sel("intercept", "slope"), step_size=0.1, n_steps=10)))
draws = sample(jax.random.key(0), start.observe({"ys": ys}), 2_000, burn_in=200).traces

# The exact posterior of a Gaussian model: precision and mean.
design = np.stack([np.ones(10), np.asarray(xs)], axis=1)
precision = design.T @ design / 0.25 + np.eye(2) / 4.0
exact = np.linalg.solve(precision, design.T @ np.asarray(ys) / 0.25)
error = abs(float(draws["slope"].mean()) - exact[1])
print(
    f"slope: exactly {exact[1]:.2f}, error of HMC below 0.05: {error < 0.05}"
)  # slope: exactly 2.17, error of HMC below 0.05: True

figure = Figure(figsize=(5, 3), layout="constrained")
axes = figure.add_subplot(xlabel="x", ylabel="y", title="100 lines from the posterior")
for intercept, slope in zip(draws["intercept"][::18], draws["slope"][::18], strict=True):
    axes.plot(xs, intercept + slope * xs, color="#9ec5e8", alpha=0.3)
axes.plot(xs, ys, "o", color="#1b3a57")
if __name__ == "__main__":
    figure.savefig(Path(__file__).parent / "pictures" / "regression.png", dpi=80)
