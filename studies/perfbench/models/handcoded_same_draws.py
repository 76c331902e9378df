"""The curve model hand-coded in JAX as its GenJAX program is written, with GenJAX's normal draws and GenJAX's keys."""

import math

import jax
import jax.numpy as jnp

from genjax.distributions import noise


def importance_sampling(framework, data, parameters):
    """Program that draws curves as GenJAX does and weighs each by the likelihood of the points, under `vmap`."""
    noise_sd, n_points = float(data["noise_sd"]), len(data["xs"])
    constant = n_points * math.log(noise_sd * math.sqrt(2 * math.pi))

    def draw_prior(key, shape):
        coefficients = noise.normal(jax.random.split(key)[1], (*shape, 3), jnp.float32)
        return {name: coefficients[..., index] for index, name in enumerate("abc")}

    def of_curve(curve, xs, ys):
        powers = jnp.stack([jnp.ones_like(xs), xs, xs * xs], axis=1)
        standard = (ys - powers @ jnp.stack([curve[name] for name in "abc"])) / noise_sd
        return -0.5 * (standard * standard).sum() - constant

    return framework.importance_sampling(
        draw_prior, of_curve, (data["xs"], data["ys"]), n_particles=parameters["n_particles"]
    )
