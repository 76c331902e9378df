"""Eight schools by NUTS with warm-up, in four chains."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from genjax import chain, gen, half_normal, normal, seed, sel
from genjax.inference import NUTS, summary


@gen
def schools(errors):
    """Effects of coaching in eight schools, not centred: theta = mu + tau z (Rubin, 1981)."""
    mu = normal(0.0, 5.0) @ "mu"
    tau = half_normal(5.0) @ "tau"
    z = normal.repeat(8)(0.0, 1.0) @ "z"
    return normal.vmap()(mu + tau * z, errors) @ "effects"


effects = jnp.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
errors = jnp.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
start, _ = seed(schools.generate)(jax.random.key(0), {"effects": effects}, errors)
sample = seed(chain(NUTS(sel("mu", "tau", "z"))))
fit = sample(jax.random.key(1), start, 400, n_warmup=200, n_chains=4)
mu = summary(fit)["mu"]
print(
    f"mean of mu near 4.4: {3.8 < mu['mean'] < 5.0}, converged: {mu['r_hat'] < 1.02}"
)  # mean of mu near 4.4: True, converged: True

draws = fit.traces
theta = np.asarray(draws["mu"][..., None] + draws["tau"][..., None] * draws["z"]).reshape(-1, 8)
low, middle, high = np.percentile(theta, [5, 50, 95], axis=0)
figure = Figure(figsize=(5, 3), layout="constrained")
axes = figure.add_subplot(xlabel="school", ylabel="effect", title="Eight schools: 90% intervals by NUTS")
places = np.arange(8)
axes.errorbar(places - 0.12, effects, 1.645 * errors, fmt="x", color="grey", label="each school by itself")
bounds = np.stack([middle - low, high - middle])
axes.errorbar(places + 0.12, middle, bounds, fmt="o", color="#0173b2", label="hierarchical model")
axes.set_xticks(places, list("ABCDEFGH"))
axes.legend(fontsize=8)
if __name__ == "__main__":
    figure.savefig(Path(__file__).parent / "pictures" / "eight_schools.png", dpi=80)
