"""The fair coin written by hand in JAX."""

import jax
import jax.numpy as jnp

from frameworks.base import form


@form("library", "`jax.random.beta`, as everybody uses it")
def importance_sampling(framework, data, parameters):
    """Program that draws fairness from its prior and weighs each draw by the likelihood of the observations."""

    def draw_prior(key, shape):
        return {"latent_fairness": jax.random.beta(key, parameters["prior_alpha"], parameters["prior_beta"], shape)}

    return weighed(framework, data, parameters, draw_prior)


@form(
    "own_gamma",
    "a sampler of the gamma distribution of fifteen lines, for all particles at once",
    aside="a program with a sampler of its own is not what users of JAX write; it shows what the sampler gains",
)
def importance_sampling__own_gamma(framework, data, parameters):
    """Program whose beta is a ratio of gammas, each drawn by Marsaglia and Tsang's method.

    Raises:
        ValueError: a parameter of the prior is below 1, for which the method needs a further draw.
    """
    concentrations = parameters["prior_alpha"], parameters["prior_beta"]
    if min(concentrations) < 1:
        raise ValueError(f"own_gamma got the prior Beta{concentrations}. Its parameters must be 1 or more.")

    def draw_prior(key, shape):
        keys = jax.random.split(key)
        first, second = (draw_gamma(keys[i], concentrations[i], shape) for i in range(2))
        return {"latent_fairness": first / (first + second)}

    return weighed(framework, data, parameters, draw_prior)


def draw_gamma(key, concentration, shape):
    """Gamma(concentration, 1) draws: all propose, and those that are refused propose again (ACM TOMS 26(3), 2000)."""
    d = concentration - 1 / 3

    def propose(state):
        key, drawn, is_done = state
        key, normal_key, uniform_key = jax.random.split(key, 3)
        x = jax.random.normal(normal_key, shape)
        v = jnp.maximum(1 + x / (9 * d) ** 0.5, 0) ** 3
        log_u = jnp.log(jax.random.uniform(uniform_key, shape))
        is_accepted = (v > 0) & (log_u < 0.5 * x * x + d * (1 - v + jnp.log(v)))
        return key, jnp.where(is_done, drawn, d * v), is_done | is_accepted

    start = key, jnp.zeros(shape), jnp.zeros(shape, bool)
    return jax.lax.while_loop(lambda state: ~state[2].all(), propose, start)[1]


def weighed(framework, data, parameters, draw_prior):
    """Program that weighs draws by the likelihood of the observations."""

    def log_likelihood(latents, observations):
        # A float32 draw can round to 1, where 0 * log(0) would be NaN.
        fairness = jnp.clip(latents["latent_fairness"], 1e-7, 1 - 1e-7)
        return (observations * jnp.log(fairness) + (1 - observations) * jnp.log1p(-fairness)).sum()

    return framework.importance_sampling(
        draw_prior, log_likelihood, (data["observations"],), n_particles=parameters["n_particles"]
    )
