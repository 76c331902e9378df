"""The basic curve model written by hand in JAX."""

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm


def importance_sampling(framework, data, parameters):
    """Program that draws curves from their prior and weighs each by the likelihood of the observations."""

    def draw_prior(key, shape):
        keys = jax.random.split(key, 3)
        return {name: jax.random.normal(key, shape) for name, key in zip("abc", keys, strict=True)}

    inputs = (jnp.asarray(data["xs"]), jnp.asarray(data["ys"]))
    return framework.importance_sampling(
        draw_prior, log_likelihood(parameters), inputs, n_particles=parameters["n_particles"]
    )


def basic_hmc(framework, data, parameters):
    """Program of chains of Hamiltonian Monte Carlo, all from the prior's mean."""
    likelihood = log_likelihood(parameters)

    def log_density(curve, xs, ys):
        return sum(norm.logpdf(value) for value in curve.values()) + likelihood(curve, xs, ys)

    start = dict.fromkeys("abc", jnp.float32(0.0))
    names = ("step_size", "n_leapfrog", "n_chains")
    return framework.hmc(
        log_density, (data["xs"], data["ys"]), start, **{name: parameters[name] for name in names},
        n_samples=parameters["n_steps"], n_warmup=0,
    )  # fmt: skip


def log_likelihood(parameters):
    """sum_i log N(y_i; a + b x_i + c x_i^2, noise_sd) of one curve."""

    def of_curve(curve, xs, ys):
        means = curve["a"] + xs * (curve["b"] + xs * curve["c"])
        return norm.logpdf(ys, means, parameters["noise_sd"]).sum()

    return of_curve
