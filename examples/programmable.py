"""Programmable inference, vectorised: a line with outliers, by enumeration and HMC in one kernel, in 32 chains."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from genjax import Cond, chain, flip, gen, hmc, modular_vmap, normal, seed, sel


@gen
def point(x, slope):
    """A point near the line, or anywhere."""
    is_outlier = flip(0.2) @ "is_outlier"
    near, anywhere = gen(lambda: normal(slope * x, 0.2) @ "y"), gen(lambda: normal(0.0, 3.0) @ "y")
    return Cond(anywhere, near)(is_outlier) @ "value"


@gen
def line(xs):
    """A slope, and a point for each x."""
    slope = normal(0.0, 2.0) @ "slope"
    return point.vmap(in_axes=(0, None))(xs, slope) @ "points"


def draw_indicators(trace):
    """Every indicator from its exact distribution given the slope, all points at once."""

    def one(x, y):
        log_density = lambda value: point.assess({"is_outlier": value, "value": {"y": y}}, x, trace["slope"])[0]
        return flip.sample(jax.nn.sigmoid(log_density(True) - log_density(False)))

    indicators = modular_vmap(one)(xs, trace["points"]["value"]["y"])
    return trace.update({"points": {"is_outlier": indicators}})[0]


def kernel(trace):
    """Indicators by enumeration, then the slope by HMC."""
    return hmc(draw_indicators(trace), sel("slope"), step_size=0.03, n_steps=8)


xs = jnp.linspace(-1.0, 1.0, 12)
ys = (1.5 * xs).at[jnp.array([2, 9])].set(jnp.array([2.5, -2.0]))
observed = {"points": {"value": {"y": ys}}}
start = lambda: line.generate({"slope": 0.0, **observed}, xs)[0].observe(observed)  # the slope is a start, not data
starts = seed(modular_vmap(start, in_axes=(), axis_size=32))(jax.random.key(0))
result = seed(chain(kernel))(jax.random.key(1), starts, 300, burn_in=100, n_chains=32)
outlier = np.asarray(result.traces["points"]["is_outlier"].mean(axis=(0, 1)))
print(
    f"slope {float(result.traces['slope'].mean()):.1f}; outliers {np.flatnonzero(outlier > 0.5).tolist()}"
)  # slope 1.5; outliers [2, 9]

figure = Figure(figsize=(5, 3), layout="constrained")
axes = figure.add_subplot(xlabel="x", ylabel="y", title="A line with outliers, in 32 chains")
for slope in np.asarray(result.traces["slope"][:, -1]):
    axes.plot(xs, slope * xs, color="#9ec5e8", alpha=0.3)
drawn = axes.scatter(xs, ys, c=outlier, cmap="coolwarm", vmin=0, vmax=1, edgecolor="black", zorder=3)
figure.colorbar(drawn, label="P(outlier)")
if __name__ == "__main__":
    figure.savefig(Path(__file__).parent / "pictures" / "programmable.png", dpi=80)
