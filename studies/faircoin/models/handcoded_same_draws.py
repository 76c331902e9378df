"""The fair coin hand-coded in JAX, with GenJAX's sampler of the beta distribution and GenJAX's keys."""

import jax
import jax.numpy as jnp

from genjax.distributions import gammas


def importance_sampling(framework, data, parameters):
    """Program that draws fairness as GenJAX does and weighs each draw by the likelihood of the observations."""
    alpha, beta = (jnp.float32(parameters[name]) for name in ("prior_alpha", "prior_beta"))

    def draw_prior(key, shape):
        return {"latent_fairness": gammas.beta(jax.random.split(key)[1], alpha, beta, shape)}

    def log_likelihood(latents, observations):
        # A float32 draw can round to 1, where 0 * log(0) would be NaN.
        fairness = jnp.clip(latents["latent_fairness"], 1e-7, 1 - 1e-7)
        return (observations * jnp.log(fairness) + (1 - observations) * jnp.log1p(-fairness)).sum()

    return framework.importance_sampling(
        draw_prior, log_likelihood, (data["observations"],), n_particles=parameters["n_particles"]
    )
