"""Tracking a hidden state with a particle filter, against the exact Kalman filter."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from genjax import const, gen, kalman_filter, normal, rejuvenation_smc, seed


@gen
def step(previous):
    """The next state, and its observation."""
    state = normal(0.9 * previous, 1.0) @ "state"
    normal(state, 0.5) @ "observed"
    return state


readings = jnp.array([0.5, 1.0, 1.5, 1.0, 0.5, -0.5, -1.0, -2.0, -1.5, -1.0, 0.0, 0.5])


@jax.jit
@seed
def particle_filter(readings):
    """The particles of all steps: every field has a leading axis of time."""
    return rejuvenation_smc(step, None, None, {"observed": readings}, (0.0,), const(5_000), const(True))


particles = particle_filter(jax.random.key(0), readings)
weights = jax.nn.softmax(particles.log_weights, axis=1)
means = np.asarray(jnp.sum(weights * particles.traces["state"], axis=1))

one = jnp.eye(1)
exact, covariances, log_evidence = kalman_filter(readings[:, None], jnp.zeros(1), one, 0.9 * one, one, one, 0.25 * one)
exact, sds = np.asarray(exact[:, 0]), np.sqrt(np.asarray(covariances[:, 0, 0]))
print(
    "largest error of a mean below 0.05:", bool(np.abs(means - exact).max() < 0.05)
)  # largest error of a mean below 0.05: True

figure = Figure(figsize=(5, 3), layout="constrained")
axes = figure.add_subplot(xlabel="time", ylabel="state", title="A particle filter against the Kalman filter")
times = np.arange(len(readings))
axes.fill_between(times, exact - 2 * sds, exact + 2 * sds, color="#dbe9f6", label="exact, two standard deviations")
axes.plot(times, exact, color="#1b3a57", label="exact mean")
axes.plot(times, means, "o", color="#de8f05", label="particle filter")
axes.plot(times, readings, "x", color="grey", label="observed")
axes.legend(fontsize=7)
if __name__ == "__main__":
    figure.savefig(Path(__file__).parent / "pictures" / "tracking.png", dpi=80)
