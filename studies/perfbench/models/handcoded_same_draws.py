"""The curve model hand-coded in JAX as its GenJAX program is written, with GenJAX's normal draws and GenJAX's keys."""

import math

import jax
import jax.numpy as jnp

from frameworks.base import with_outputs
from genjax.distributions import noise


def importance_sampling(framework, data, parameters):
    """Program that draws curves as GenJAX does and weighs each by the likelihood of the points, summed by a product."""
    noise_sd, n_points = float(data["noise_sd"]), len(data["xs"])
    constant = n_points * math.log(noise_sd * math.sqrt(2 * math.pi))

    def draw_prior(key, shape):
        coefficients = noise.normal(jax.random.split(key)[1], (*shape, 3), jnp.float32)
        return {name: coefficients[..., index] for index, name in enumerate("abc")}

    def of_curves(curves, xs, ys):
        def squares(curve):
            return jnp.square((ys - (curve["a"] + xs * (curve["b"] + xs * curve["c"]))) / noise_sd)

        terms = jax.vmap(squares)(curves)
        return -0.5 * jnp.dot(jnp.ones_like(xs), terms.T, precision="highest") - constant

    return framework.batched_importance_sampling(
        draw_prior, of_curves, (data["xs"], data["ys"]), n_particles=parameters["n_particles"]
    )


def hmc(framework, data, parameters):
    """Program of one chain of Hamiltonian Monte Carlo on the vector of coefficients."""
    noise_sd, n_points = float(data["noise_sd"]), len(data["xs"])
    constant = n_points * math.log(noise_sd) + 0.5 * (n_points + 3) * math.log(2 * math.pi)

    def log_density(state, xs, ys):
        a, b, c = state["coefficients"]
        standard = (ys - (a + xs * (b + xs * c))) / noise_sd
        return -0.5 * ((standard * standard).sum() + (a * a + b * b + c * c)) - constant

    program = framework.hmc(
        log_density, (data["xs"], data["ys"]), {"coefficients": data["start"]},
        **{name: parameters[name] for name in ("step_size", "n_leapfrog", "n_samples", "n_warmup", "n_chains")},
    )  # fmt: skip
    return with_outputs(program, named)


def named(outputs):
    """The outputs with the coefficients by name."""
    coefficients = outputs.pop("coefficients")
    return {**{name: coefficients[..., index] for index, name in enumerate("abc")}, **outputs}
