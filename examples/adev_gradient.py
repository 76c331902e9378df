"""Gradients of an expectation by three estimators: all are unbiased, their variances differ."""

from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

from genjax import expectation, flip_enum, flip_mvd, flip_reinforce, seed

ESTIMATORS = {"enumeration": flip_enum, "measure-valued": flip_mvd, "REINFORCE": flip_reinforce}


def loss_by(flip):
    """E[loss] of a coin that costs nothing with probability p, and -p / 2 otherwise."""

    @expectation
    def loss(p):
        return jax.lax.cond(flip(p), lambda: 0.0, lambda: -p / 2)

    return loss


def gradients(flip, p=0.3, n=2_000):
    """Independent estimates of the derivative at p."""
    keys = jax.random.split(jax.random.key(0), n)
    return np.asarray(jax.vmap(lambda key: seed(loss_by(flip).grad_estimate)(key, p))(keys))


exact = float(jax.grad(lambda p: (1 - p) * (-p / 2))(0.3))
estimates = {name: gradients(flip) for name, flip in ESTIMATORS.items()}
within = [abs(values.mean() - exact) <= 4 * values.std() / np.sqrt(len(values)) + 1e-6 for values in estimates.values()]
print(
    f"exact {exact:.2f}; within four standard errors: {[bool(one) for one in within]}"
)  # exact -0.20; within four standard errors: [True, True, True]

figure = Figure(figsize=(5, 3), layout="constrained")
axes = figure.add_subplot(ylabel="gradient estimate", title="Three unbiased estimators of one gradient")
for place, values in enumerate(estimates.values()):
    jitter = np.random.default_rng(place).uniform(-0.2, 0.2, len(values))
    axes.plot(place + jitter, values, ".", alpha=0.2, color="#0173b2")
    axes.errorbar(place, values.mean(), values.std(), fmt="o", color="black", capsize=4)
axes.axhline(exact, color="#de8f05", label="exact")
axes.set_xticks(range(len(estimates)), list(estimates))
axes.legend()
if __name__ == "__main__":
    figure.savefig(Path(__file__).parent / "pictures" / "adev_gradient.png", dpi=80)
