"""The fair coin written by hand in JAX."""

import jax
import jax.numpy as jnp


def importance_sampling(framework, data, parameters):
    """Program that draws fairness from its prior and weighs each draw by the likelihood of the observations."""

    def draw_prior(key, shape):
        return {"latent_fairness": jax.random.beta(key, parameters["prior_alpha"], parameters["prior_beta"], shape)}

    def log_likelihood(latents, observations):
        # A float32 draw can round to 1, where 0 * log(0) would be NaN.
        fairness = jnp.clip(latents["latent_fairness"], 1e-7, 1 - 1e-7)
        return (observations * jnp.log(fairness) + (1 - observations) * jnp.log1p(-fairness)).sum()

    return framework.importance_sampling(
        draw_prior, log_likelihood, (data["observations"],), n_particles=parameters["n_particles"]
    )
