"""A mixture of two normals: Gibbs sampling of the assignments, HMC for the means."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from genjax import chain, flip, gen, normal, seed, sel
from genjax.inference import HMC, compose
from genjax.inference.kernels import Gibbs


@gen
def point(means):
    """A component, then a value from it."""
    is_second = flip(0.4) @ "is_second"
    return normal(jnp.where(is_second, means[1], means[0]), 0.5) @ "value"


@gen
def mixture():
    """Two means, and fifty points."""
    means = normal(jnp.array([-2.0, 2.0]), 1.0) @ "means"
    return point.repeat(50)(means) @ "points"


truth = np.random.default_rng(0)
values = jnp.asarray(np.concatenate([truth.normal(-1.5, 0.5, 30), truth.normal(1.0, 0.5, 20)]), jnp.float32)
trace, _ = seed(mixture.generate)(jax.random.key(0), {"points": {"value": values}})
kernel = compose(Gibbs(sel(("points", "is_second"))), HMC(sel("means"), step_size=0.05, n_steps=5))
result = seed(chain(kernel))(jax.random.key(1), trace, 1_000, burn_in=200)
first, second = np.asarray(result.traces["means"].mean(axis=0))
print(f"means {first:.1f} and {second:.1f}")  # means -1.6 and 1.3
probability = np.asarray(result.traces["points"]["is_second"].mean(axis=0))
print(
    f"{int((probability > 0.5).sum())} of 50 points belong to the second component"
)  # 20 of 50 points belong to the second component

figure = Figure(figsize=(5, 3), layout="constrained")
axes = figure.add_subplot(xlabel="value", ylabel="P(second component)", title="A mixture by Gibbs sampling and HMC")
axes.scatter(values, probability, c=probability, cmap="coolwarm", edgecolor="black")
for mean in (first, second):
    axes.axvline(mean, color="grey", linestyle=":")
if __name__ == "__main__":
    figure.savefig(Path(__file__).parent / "pictures" / "mixture.png", dpi=80)
