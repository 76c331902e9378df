"""The basic curve model written by hand in JAX."""

import jax
import jax.numpy as jnp


def importance_sampling(framework, data, parameters):
    """Program that draws curves from their prior and weighs each by the likelihood of the observations."""

    def draw_prior(key, shape):
        keys = jax.random.split(key, 3)
        return {name: jax.random.normal(key, shape) for name, key in zip("abc", keys, strict=True)}

    def log_likelihood(curve, xs, ys):
        means = curve["a"] + xs * (curve["b"] + xs * curve["c"])
        return jax.scipy.stats.norm.logpdf(ys, means, parameters["noise_sd"]).sum()

    inputs = (jnp.asarray(data["xs"]), jnp.asarray(data["ys"]))
    return framework.importance_sampling(draw_prior, log_likelihood, inputs, n_particles=parameters["n_particles"])
