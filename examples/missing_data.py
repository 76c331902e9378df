"""Missing observations: a mask says which values were seen, and the others are inferred."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from genjax import chain, gen, masked, normal, seed, sel
from genjax.inference import HMC


@gen
def line(xs):
    """A line through the origin, with noise."""
    slope = normal(0.0, 1.0) @ "slope"
    return normal.vmap(in_axes=(0, None))(slope * xs, 0.5) @ "ys"


xs = jnp.linspace(0.0, 3.0, 7)
ys = jnp.array([0.1, 0.0, 1.3, 0.0, 1.9, 0.0, 3.2])
is_seen = jnp.array([True, False, True, False, True, False, True])
start, _ = seed(line.generate)(jax.random.key(0), {"ys": masked(is_seen, ys)}, xs)
sample = seed(chain(HMC(sel("slope", "ys"), step_size=0.1, n_steps=15)))
draws = sample(jax.random.key(1), start, 3_000, burn_in=200).traces

seen = np.asarray(is_seen)
precision = float(1.0 + (xs[seen] ** 2).sum() / 0.25)
exact = float((xs[seen] * ys[seen]).sum() / 0.25) / precision
print(
    "slope within 0.03 of its exact mean:", abs(float(draws["slope"].mean()) - exact) < 0.03
)  # slope within 0.03 of its exact mean: True
print("what was seen stays:", bool(jnp.all(draws["ys"][:, seen] == ys[seen])))  # what was seen stays: True

low, middle, high = np.percentile(np.asarray(draws["ys"]), [5, 50, 95], axis=0)
figure = Figure(figsize=(5, 3), layout="constrained")
axes = figure.add_subplot(xlabel="x", ylabel="y", title="Three missing values, with 90% intervals")
axes.plot(xs, exact * xs, color="#9ec5e8", label="posterior mean line")
axes.plot(xs[seen], ys[seen], "o", color="#1b3a57", label="observed")
bounds = np.stack([middle - low, high - middle])
axes.errorbar(xs[~seen], middle[~seen], bounds[:, ~seen], fmt="s", color="#de8f05", label="inferred")
axes.legend()
if __name__ == "__main__":
    figure.savefig(Path(__file__).parent / "pictures" / "missing_data.png", dpi=80)
